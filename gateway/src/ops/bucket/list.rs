//! ListObjects, the first version.

use cairn_protocol::metadata::ListMark;

use super::listing::{Listing, Owners, next_mark};
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb, groups};
use crate::error::S3Result;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::Response;

/// `GET /bucket`.
#[derive(Debug)]
pub(crate) struct ListObjects {
    listing: Listing,
    marker: String,
}

impl Operation for ListObjects {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[
            groups::LIST,
            groups::OPTIONAL_ATTRIBUTES,
            groups::COMMON,
            &[Member::query("marker"), Member::query("max-keys")],
        ],
        ..Declaration::new("ListObjects", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:ListBucket");

    fn parse(request: &Request) -> S3Result<Self> {
        let marker = request.query.get("marker").unwrap_or_default().to_owned();
        Ok(Self { listing: Listing::parse(request)?, marker })
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let Self { listing, marker } = self;
        let page = listing.page(gateway, listing.mark(&marker)).await?;
        let classes = Listing::classes(gateway, &page).await?;
        let owners = Owners::of(gateway)?;
        let next = next_mark(&page).map(|(ListMark::Key(text) | ListMark::Prefix(text))| text);
        Ok(Listing::answer(&page.region, "ListBucketResult", |xml| {
            listing.write_head(xml, page.truncated);
            xml.text("Marker", &listing.encoding.apply(&marker));
            // S3 sends NextMarker only with a delimiter. Without one, the last key of the page is the next marker.
            if let (Some(next), Some(_)) = (&next, &listing.delimiter) {
                xml.text("NextMarker", &listing.encoding.apply(next));
            }
            listing.write_entries(xml, &page, &classes, Some(&owners));
        }))
    }
}

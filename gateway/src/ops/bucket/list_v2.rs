//! ListObjectsV2.

use cairn_protocol::metadata::ListMark;

use super::listing::{Listing, Owners, next_mark};
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::Response;
use crate::types::ListToken;

/// `GET /bucket?list-type=2`.
#[derive(Debug)]
pub(crate) struct ListObjectsV2 {
    listing: Listing,
    token: Option<String>,
    after: Option<ListMark>,
    start_after: Option<String>,
    fetch_owner: bool,
}

impl Operation for ListObjectsV2 {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::QueryIs("list-type", "2")],
        members: &[
            groups::LIST,
            groups::OPTIONAL_ATTRIBUTES,
            groups::COMMON,
            &[
                Member::query("continuation-token"),
                Member::query("fetch-owner"),
                Member::query("max-keys"),
                Member::query("start-after"),
            ],
        ],
        ..Declaration::new("ListObjectsV2", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:ListBucket");

    fn parse(request: &Request) -> S3Result<Self> {
        let query = &request.query;
        let token = query.get("continuation-token").map(str::to_owned);
        let start_after = query.get("start-after").filter(|key| !key.is_empty()).map(str::to_owned);
        // A token takes precedence over `start-after`: it is the exact position at which the last page ended.
        let after = match &token {
            Some(token) => Some(ListToken::parse(token)?),
            None => start_after.clone().map(ListMark::Key),
        };
        let fetch_owner = match query.get("fetch-owner") {
            None | Some("" | "false") => false,
            Some("true") => true,
            Some(other) => {
                return Err(S3Error::invalid_argument("fetch-owner", other, "fetch-owner is true or false."));
            }
        };
        Ok(Self { listing: Listing::parse(request)?, token, after, start_after, fetch_owner })
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let Self { listing, token, after, start_after, fetch_owner } = self;
        let page = listing.page(gateway, after).await?;
        let classes = Listing::classes(gateway, &page).await?;
        let owners = fetch_owner.then(|| Owners::of(gateway)).transpose()?;
        let next = next_mark(&page);
        Ok(Listing::answer(&page.region, "ListBucketResult", |xml| {
            listing.write_head(xml, page.truncated);
            xml.value("KeyCount", page.entries.len());
            xml.optional("ContinuationToken", token.as_deref());
            xml.optional("NextContinuationToken", next.as_ref().map(ListToken::of).as_deref());
            xml.optional("StartAfter", start_after.map(|key| listing.encoding.apply(&key)).as_deref());
            listing.write_entries(xml, &page, &classes, owners.as_ref());
        }))
    }
}

//! ListObjectVersions. In a bucket without versioning each object has one version, with the id `null`.

use cairn_protocol::metadata::{ListEntry, ListMark, ObjectSummary};

use super::listing::{Listing, next_mark};
use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::ops::object::ShownClasses;
use crate::request::{Request, RequestBody};
use crate::response::Response;
use crate::xml::XmlWriter;

/// `GET /bucket?versions`.
#[derive(Debug)]
pub(crate) struct ListObjectVersions {
    listing: Listing,
    key_marker: String,
    version_marker: Option<String>,
}

impl Operation for ListObjectVersions {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("versions")],
        members: &[
            groups::LIST,
            groups::OPTIONAL_ATTRIBUTES,
            groups::COMMON,
            &[
                Member::query("key-marker"),
                Member::query("max-keys"),
                Member::query("version-id-marker").partly("`null` only: buckets have no other versions yet"),
            ],
        ],
        note: "each object is its own only version, `null`",
        ..Declaration::new("ListObjectVersions", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:ListBucketVersions");

    fn parse(request: &Request) -> S3Result<Self> {
        let query = &request.query;
        let key_marker = query.get("key-marker").unwrap_or_default().to_owned();
        let version_marker = query.get("version-id-marker").filter(|marker| !marker.is_empty());
        match version_marker {
            Some(marker) if key_marker.is_empty() => Err(S3Error::invalid_argument(
                "version-id-marker",
                marker,
                "A version-id marker cannot be specified without a key marker.",
            )),
            Some(marker) if marker != "null" => {
                Err(S3Error::invalid_argument("version-id-marker", marker, "Invalid version id specified"))
            }
            Some(_) | None => {
                let version_marker = version_marker.map(str::to_owned);
                Ok(Self { listing: Listing::parse(request)?, key_marker, version_marker })
            }
        }
    }

    async fn run(self, gateway: &Gateway, _: Request, _: RequestBody) -> S3Result<Response> {
        let Self { listing, key_marker, version_marker } = self;
        let page = listing.page(gateway, listing.mark(&key_marker)).await?;
        let classes = Listing::classes(gateway, &page).await?;
        let next = next_mark(&page);
        Ok(Listing::answer(&page, "ListVersionsResult", |xml| {
            listing.write_head(xml, &page);
            xml.text("KeyMarker", &listing.encoding.apply(&key_marker));
            xml.text("VersionIdMarker", version_marker.as_deref().unwrap_or_default());
            match next {
                Some(ListMark::Key(key)) => {
                    xml.text("NextKeyMarker", &listing.encoding.apply(&key));
                    xml.text("NextVersionIdMarker", "null");
                }
                Some(ListMark::Prefix(prefix)) => xml.text("NextKeyMarker", &listing.encoding.apply(&prefix)),
                None => {}
            }
            for entry in &page.entries {
                if let ListEntry::Object(object) = entry {
                    write_version(xml, &listing, object, &classes);
                }
            }
            listing.write_prefixes(xml, &page);
        }))
    }
}

fn write_version(xml: &mut XmlWriter, listing: &Listing, object: &ObjectSummary, classes: &ShownClasses) {
    xml.element("Version", |xml| {
        xml.text("VersionId", "null");
        xml.text("IsLatest", "true");
        listing.write_object(xml, object, classes, true);
    });
}

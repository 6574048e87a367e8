//! ListBuckets.

use cairn_protocol::metadata;

use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{ListToken, iso8601, write_owner};

/// Upper limit of S3 for buckets on a page.
const BUCKETS_MAX: u32 = 10_000;

/// The parameters of a request that lists page by page.
const PARAMETERS: [&str; 4] = ["bucket-region", "continuation-token", "max-buckets", "prefix"];

/// `GET /`. It lists the buckets of the caller's account.
///
/// Source: API reference, ListBuckets.
#[derive(Debug)]
pub(crate) struct ListBuckets {
    prefix: String,
    after: Option<String>,
    max: u32,
    /// Lists only buckets of this region.
    region: Option<String>,
    /// Whether the request has any parameter. Only then AWS shows the regions of the buckets.
    shows_regions: bool,
}

impl Operation for ListBuckets {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[&[
            Member::query(PARAMETERS[0]),
            Member::query(PARAMETERS[1]),
            Member::query(PARAMETERS[2]),
            Member::query(PARAMETERS[3]),
        ]],
        ..Declaration::new("ListBuckets", Verb::Get, Resource::Service)
    };
    const ACTION: Action = Action("s3:ListAllMyBuckets");

    fn parse(request: &Request) -> S3Result<Self> {
        let query = &request.query;
        let max = match query.get("max-buckets") {
            None => BUCKETS_MAX,
            Some(text) => {
                text.parse().ok().filter(|max| (1..=BUCKETS_MAX).contains(max)).ok_or_else(|| {
                    S3Error::invalid_argument(
                        "max-buckets",
                        text,
                        "Argument max-buckets must be an integer between 1 and 10000",
                    )
                })?
            }
        };
        Ok(Self {
            prefix: query.get("prefix").unwrap_or_default().to_owned(),
            after: query.get("continuation-token").map(ListToken::parse_key).transpose()?,
            max,
            region: query.get("bucket-region").map(str::to_owned),
            shows_regions: PARAMETERS.iter().any(|name| query.has(name)),
        })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let Self { prefix, after, max, region, shows_regions } = self;
        let owner = request.caller.owner();
        let list = metadata::ListBuckets {
            prefix: prefix.clone(),
            after,
            max,
            owner: Some(owner.id.clone()),
            region,
        };
        let page = gateway.metadata.list_buckets(list).await?;
        let next = page.buckets.last().filter(|_| page.truncated).map(|last| ListToken::of_key(&last.bucket));
        Ok(response::xml("ListAllMyBucketsResult", |xml| {
            write_owner(xml, &owner);
            xml.element("Buckets", |xml| {
                for bucket in &page.buckets {
                    xml.element("Bucket", |xml| {
                        xml.text("Name", &bucket.bucket);
                        xml.text("CreationDate", &iso8601(bucket.created_at));
                        if shows_regions {
                            xml.text("BucketRegion", &bucket.region);
                        }
                    });
                }
            });
            xml.optional("ContinuationToken", next.as_deref());
            xml.optional("Prefix", Some(prefix.as_str()).filter(|prefix| !prefix.is_empty()));
        }))
    }
}

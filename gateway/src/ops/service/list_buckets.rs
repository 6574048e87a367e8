//! ListBuckets.

use cairn_protocol::metadata;

use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb};
use crate::error::{S3Error, S3Result};
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{ListToken, iso8601, write_owner};

/// Upper limit of S3 for buckets on a page.
const BUCKETS_MAX: u32 = 10_000;

/// `GET /`.
#[derive(Debug)]
pub(crate) struct ListBuckets {
    prefix: String,
    after: Option<String>,
    max: u32,
    /// Lists only buckets of this region.
    region: Option<String>,
}

impl Operation for ListBuckets {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[&[
            Member::query("bucket-region"),
            Member::query("continuation-token"),
            Member::query("max-buckets"),
            Member::query("prefix"),
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
        })
    }

    async fn run(self, gateway: &Gateway, _: Request, _: RequestBody) -> S3Result<Response> {
        let Self { prefix, after, max, region } = self;
        let wanted = |of: &str| region.as_deref().is_none_or(|region| region == of);
        let request = metadata::ListBuckets { prefix: prefix.clone(), after, max, owner: None };
        let page = gateway.metadata.list_buckets(request).await?;
        let next = page.buckets.last().filter(|_| page.truncated).map(|last| ListToken::of_key(&last.bucket));
        Ok(response::xml("ListAllMyBucketsResult", |xml| {
            write_owner(xml);
            xml.element("Buckets", |xml| {
                for bucket in page.buckets.iter().filter(|bucket| wanted(&bucket.region)) {
                    xml.element("Bucket", |xml| {
                        xml.text("Name", &bucket.bucket);
                        xml.text("CreationDate", &iso8601(bucket.created_at));
                        xml.text("BucketRegion", &bucket.region);
                    });
                }
            });
            xml.optional("ContinuationToken", next.as_deref());
            xml.optional("Prefix", Some(prefix.as_str()).filter(|prefix| !prefix.is_empty()));
        }))
    }
}

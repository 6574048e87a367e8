//! GetBucketLocation.

use cairn_protocol::metadata::BucketRef;

use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Resource, Verb, When, groups};
use crate::error::S3Result;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::BucketName;

/// `GET /bucket?location`.
#[derive(Debug)]
pub(crate) struct GetBucketLocation {
    bucket: BucketName,
}

impl Operation for GetBucketLocation {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("location")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetBucketLocation", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetBucketLocation");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { bucket: request.bucket()?.clone() })
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let info = gateway.metadata.get_bucket(BucketRef { bucket: self.bucket.into() }).await?;
        Ok(response::xml("LocationConstraint", |xml| {
            // S3 returns an empty element for us-east-1.
            if info.region != "us-east-1" {
                xml.content(&info.region);
            }
        }))
    }
}

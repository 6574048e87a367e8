//! HeadBucket.

use cairn_protocol::metadata::BucketRef;
use http::{HeaderName, StatusCode};

use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Resource, Verb, groups};
use crate::error::S3Result;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::BucketName;

/// `HEAD /bucket`.
#[derive(Debug)]
pub(crate) struct HeadBucket {
    bucket: BucketName,
}

impl Operation for HeadBucket {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[groups::BUCKET],
        ..Declaration::new("HeadBucket", Verb::Head, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:ListBucket");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { bucket: request.bucket()?.clone() })
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let info = gateway.metadata.get_bucket(BucketRef { bucket: self.bucket.into() }).await?;
        let mut answer = response::empty(StatusCode::OK);
        response::set(&mut answer, HeaderName::from_static("x-amz-bucket-region"), info.region);
        response::set(&mut answer, HeaderName::from_static("x-amz-access-point-alias"), "false");
        Ok(answer)
    }
}

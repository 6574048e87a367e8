//! DeleteBucket.

use cairn_protocol::metadata;
use http::StatusCode;

use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Resource, Verb, groups};
use crate::error::S3Result;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::BucketName;

/// `DELETE /bucket`.
#[derive(Debug)]
pub(crate) struct DeleteBucket {
    bucket: BucketName,
}

impl Operation for DeleteBucket {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[groups::BUCKET],
        ..Declaration::new("DeleteBucket", Verb::Delete, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:DeleteBucket");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { bucket: request.bucket()?.clone() })
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let delete = metadata::DeleteBucket { bucket: self.bucket.into(), mutation: gateway.mutation() };
        gateway.metadata.delete_bucket(delete).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

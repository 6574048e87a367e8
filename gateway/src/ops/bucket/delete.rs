//! DeleteBucket.

use cairn_protocol::metadata::BucketRef;
use http::StatusCode;

use crate::caller::Action;
use crate::error::S3Result;
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{BucketName, refuse_conditions};

/// `DELETE /bucket`.
#[derive(Debug)]
pub struct DeleteBucket {
    bucket: BucketName,
}

impl Operation for DeleteBucket {
    const NAME: &'static str = "DeleteBucket";
    const ACTION: Action = Action("s3:DeleteBucket");

    fn parse(request: &Request) -> S3Result<Self> {
        refuse_conditions(&request.headers)?;
        Ok(Self { bucket: request.bucket()?.clone() })
    }

    async fn run(self, gateway: &Gateway, _: Request, _: RequestBody) -> S3Result<Response> {
        gateway.metadata.delete_bucket(BucketRef { bucket: self.bucket.into() }).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

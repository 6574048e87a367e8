//! AbortMultipartUpload.

use cairn_protocol::metadata::UploadRef;
use http::StatusCode;

use super::id::upload_ref;
use crate::caller::Action;
use crate::error::S3Result;
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::refuse_conditions;

/// `DELETE /bucket/key?uploadId=…`.
#[derive(Debug)]
pub struct AbortMultipartUpload {
    target: UploadRef,
}

impl Operation for AbortMultipartUpload {
    const NAME: &'static str = "AbortMultipartUpload";
    const ACTION: Action = Action("s3:AbortMultipartUpload");

    fn parse(request: &Request) -> S3Result<Self> {
        refuse_conditions(&request.headers)?;
        Ok(Self { target: upload_ref(request)? })
    }

    async fn run(self, gateway: &Gateway, _: Request, _: RequestBody) -> S3Result<Response> {
        gateway.metadata.abort_upload(self.target).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

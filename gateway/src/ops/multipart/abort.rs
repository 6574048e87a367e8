//! AbortMultipartUpload.

use cairn_protocol::metadata::{AbortUpload, UploadRef};
use http::StatusCode;

use super::id::upload_ref;
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::S3Result;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};

/// `DELETE /bucket/key?uploadId=…`.
#[derive(Debug)]
pub(crate) struct AbortMultipartUpload {
    target: UploadRef,
}

impl Operation for AbortMultipartUpload {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("uploadId")],
        members: &[
            groups::COMMON,
            &[Member::header("x-amz-if-match-initiated-time").missing("Of directory buckets only.")],
        ],
        ..Declaration::new("AbortMultipartUpload", Verb::Delete, Resource::Object)
    };
    const ACTION: Action = Action("s3:AbortMultipartUpload");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { target: upload_ref(request)? })
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let abort = AbortUpload { target: self.target, mutation: gateway.mutation() };
        gateway.metadata.abort_upload(abort).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

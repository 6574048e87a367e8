//! DeleteObject.

use cairn_protocol::metadata::{self, WriteCondition};
use http::{HeaderMap, StatusCode, header};

use crate::caller::Action;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{parse_write_condition, refuse_version};

/// `DELETE /bucket/key`.
#[derive(Debug)]
pub struct DeleteObject {
    condition: WriteCondition,
}

impl Operation for DeleteObject {
    const NAME: &'static str = "DeleteObject";
    const ACTION: Action = Action("s3:DeleteObject");

    fn parse(request: &Request) -> S3Result<Self> {
        refuse_version(&request.query)?;
        Ok(Self { condition: condition(&request.headers)? })
    }

    async fn run(self, gateway: &Gateway, request: Request, _: RequestBody) -> S3Result<Response> {
        let object = metadata::DeleteObject { key: request.key()?.to_string(), condition: self.condition };
        let bucket = request.bucket()?.to_string();
        let delete = metadata::DeleteObjects { bucket, objects: vec![object] };
        let mut answers = gateway.metadata.delete_objects(delete).await?;
        match answers.pop() {
            Some(Ok(_)) => Ok(response::empty(StatusCode::NO_CONTENT)),
            Some(Err(error)) => Err(error.into()),
            None => Err(S3Error::internal("the metanode did not answer for the one object to delete")),
        }
    }
}

/// A delete knows `If-Match` only.
fn condition(headers: &HeaderMap) -> S3Result<WriteCondition> {
    if headers.contains_key(header::IF_NONE_MATCH) {
        return Err(S3Error::new(ErrorCode::NotImplemented).detail("Header", header::IF_NONE_MATCH.as_str()));
    }
    parse_write_condition(headers)
}

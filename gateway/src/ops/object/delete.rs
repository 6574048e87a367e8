//! DeleteObject.

use cairn_protocol::metadata::{self, VersionName, WriteCondition};
use http::StatusCode;

use super::identity::set_version;
use super::lock::{may_bypass, wants_bypass};
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{DELETE_MARKER_HEADER, parse_version, parse_write_condition};

/// `DELETE /bucket/key`.
#[derive(Debug)]
pub(crate) struct DeleteObject {
    condition: WriteCondition,
    version: Option<VersionName>,
}

impl Operation for DeleteObject {
    const DECLARATION: &'static Declaration = &Declaration {
        members: &[
            groups::COMMON,
            groups::DELETE,
            &[
                groups::VERSION,
                Member::header("if-match").partly("one ETag, or `*`"),
                Member::header("x-amz-if-match-last-modified-time").missing("Of directory buckets only."),
                Member::header("x-amz-if-match-size").missing("Of directory buckets only."),
            ],
        ],
        ..Declaration::new("DeleteObject", Verb::Delete, Resource::Object)
    };
    const ACTION: Action = Action("s3:DeleteObject");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self {
            condition: parse_write_condition(&request.headers)?,
            version: parse_version(&request.query)?,
        })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let Self { condition, version } = self;
        let key = request.key()?.to_string();
        let bypass_governance =
            wants_bypass(gateway, &request).await? && may_bypass(gateway, &request, &key).await?;
        let object = metadata::DeleteObject { key, condition, version, bypass_governance };
        let bucket = request.bucket()?.to_string();
        let delete = metadata::DeleteObjects { bucket, objects: vec![object], mutation: gateway.mutation() };
        let mut answers = gateway.metadata.delete_objects(delete).await?;
        match answers.pop() {
            Some(Ok(deleted)) => {
                let mut answer = response::empty(StatusCode::NO_CONTENT);
                if deleted.marker.is_some() {
                    response::set(&mut answer, DELETE_MARKER_HEADER, "true");
                }
                set_version(&mut answer, version.or(deleted.marker));
                Ok(answer)
            }
            Some(Err(error)) => Err(error.into()),
            None => Err(S3Error::internal("the metanode did not answer for the one object to delete")),
        }
    }
}

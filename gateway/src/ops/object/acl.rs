//! GetObjectAcl, PutObjectAcl.

use cairn_protocol::metadata::VersionName;
use http::StatusCode;

use super::read::lookup;
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Resource, Verb, When, groups};
use crate::error::S3Result;
use crate::gateway::Gateway;
use crate::ops::{Operation, acl};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::parse_version;

/// `GET /bucket/key?acl`.
#[derive(Debug)]
pub(crate) struct GetObjectAcl {
    version: Option<VersionName>,
}

impl Operation for GetObjectAcl {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("acl")],
        members: &[groups::COMMON, &[groups::VERSION]],
        ..Declaration::new("GetObjectAcl", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObjectAcl");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { version: parse_version(&request.query)? })
    }

    async fn run(self, gateway: &Gateway, request: Request, _: RequestBody) -> S3Result<Response> {
        lookup(gateway, request.bucket()?, request.key()?, self.version).await?;
        Ok(response::document(acl::write_acl()))
    }
}

/// `PUT /bucket/key?acl`.
#[derive(Debug)]
pub(crate) struct PutObjectAcl {
    version: Option<VersionName>,
}

impl Operation for PutObjectAcl {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("acl")],
        body: Body::Document("AccessControlPolicy"),
        members: &[
            groups::OBJECT_GRANTS,
            groups::ACL_ELEMENTS,
            groups::COMMON,
            &[groups::GRANT_WRITE, groups::VERSION],
        ],
        note: "the ACL that every object has",
        ..Declaration::new("PutObjectAcl", Verb::Put, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObjectAcl");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { version: parse_version(&request.query)? })
    }

    async fn run(self, gateway: &Gateway, request: Request, body: RequestBody) -> S3Result<Response> {
        lookup(gateway, request.bucket()?, request.key()?, self.version).await?;
        acl::check_put(&request, body).await?;
        Ok(response::empty(StatusCode::OK))
    }
}

//! Reads of settings that no object can have yet: the responses of S3 for a bucket without object lock.

use crate::caller::Action;
use crate::declaration::{Declaration, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::Response;
use crate::types::parse_version;

use super::read::lookup;

async fn no_lock(gateway: &Gateway, request: &Request) -> S3Result<Response> {
    let version = parse_version(&request.query)?;
    lookup(gateway, request.bucket()?, request.key()?, version).await?;
    Err(S3Error::invalid_request("Bucket is missing Object Lock Configuration"))
}

/// `GET /bucket/key?retention`.
#[derive(Debug)]
pub(super) struct GetObjectRetention;

impl Operation for GetObjectRetention {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("retention")],
        members: &[groups::COMMON, &[groups::VERSION]],
        note: "no bucket has Object Lock",
        ..Declaration::new("GetObjectRetention", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObjectRetention");

    fn parse(request: &Request) -> S3Result<Self> {
        parse_version(&request.query).map(|_| Self)
    }

    async fn run(self, gateway: &Gateway, request: Request, _: RequestBody) -> S3Result<Response> {
        no_lock(gateway, &request).await
    }
}

/// `GET /bucket/key?legal-hold`.
#[derive(Debug)]
pub(super) struct GetObjectLegalHold;

impl Operation for GetObjectLegalHold {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("legal-hold")],
        members: &[groups::COMMON, &[groups::VERSION]],
        note: "no bucket has Object Lock",
        ..Declaration::new("GetObjectLegalHold", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObjectLegalHold");

    fn parse(request: &Request) -> S3Result<Self> {
        parse_version(&request.query).map(|_| Self)
    }

    async fn run(self, gateway: &Gateway, request: Request, _: RequestBody) -> S3Result<Response> {
        no_lock(gateway, &request).await
    }
}

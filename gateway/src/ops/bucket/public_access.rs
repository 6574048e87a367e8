//! GetPublicAccessBlock, PutPublicAccessBlock, DeletePublicAccessBlock of a bucket.

use cairn_protocol::metadata::{BucketRef, ConfigurationKind};
use http::StatusCode;

use super::configuration::put;
use crate::access::Authorised;
use crate::access::documents::{Document, PublicAccessBlock};
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::public_access::{ROOT, parse, write};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};

/// `GET /bucket?publicAccessBlock`.
#[derive(Debug)]
pub(super) struct GetPublicAccessBlock;

impl Operation for GetPublicAccessBlock {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("publicAccessBlock")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetPublicAccessBlock", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetBucketPublicAccessBlock");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let bucket = request.bucket()?.to_string();
        let found = gateway.metadata.get_bucket_configurations(BucketRef { bucket: bucket.clone() }).await?;
        let kind = ConfigurationKind::PublicAccessBlock;
        let document = found.configurations.iter().find(|found| found.kind == kind).ok_or_else(|| {
            S3Error::new(ErrorCode::NoSuchPublicAccessBlockConfiguration).detail("BucketName", bucket)
        })?;
        let block = PublicAccessBlock::read(&document.document)
            .map_err(|error| S3Error::internal(error.to_string()))?;
        Ok(write(block))
    }
}

/// `PUT /bucket?publicAccessBlock`.
#[derive(Debug)]
pub(super) struct PutPublicAccessBlock;

impl Operation for PutPublicAccessBlock {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("publicAccessBlock")],
        body: Body::Document(ROOT),
        members: &[groups::BUCKET, groups::PUBLIC_ACCESS],
        ..Declaration::new("PutPublicAccessBlock", Verb::Put, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutBucketPublicAccessBlock");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let block = parse(&body.document(&request, ROOT).await?)?;
        put(gateway, &request, ConfigurationKind::PublicAccessBlock, Some(block.write())).await?;
        Ok(response::empty(StatusCode::OK))
    }
}

/// `DELETE /bucket?publicAccessBlock`.
#[derive(Debug)]
pub(super) struct DeletePublicAccessBlock;

impl Operation for DeletePublicAccessBlock {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("publicAccessBlock")],
        members: &[groups::BUCKET],
        ..Declaration::new("DeletePublicAccessBlock", Verb::Delete, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutBucketPublicAccessBlock");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        put(gateway, &request, ConfigurationKind::PublicAccessBlock, None).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

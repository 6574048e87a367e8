//! GetBucketTagging, PutBucketTagging, DeleteBucketTagging.

use cairn_protocol::metadata::{BucketRef, ConfigurationKind, Tags};
use http::StatusCode;

use super::configuration::put;
use crate::access::{Authorised, Pending, Permission, Permissions};
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::lock::require_document_digest;
use crate::ops::{DeferredOperation, Operation};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{parse_bucket_tag_document, write_tags};

/// The form in which the metanode keeps the tags of a bucket.
///
/// # Errors
/// `InternalError`.
pub(super) fn to_document(tags: &Tags) -> S3Result<String> {
    serde_json::to_string(tags).map_err(S3Error::internal)
}

/// `GET /bucket?tagging`.
#[derive(Debug)]
pub(crate) struct GetBucketTagging;

impl Operation for GetBucketTagging {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("tagging")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetBucketTagging", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetBucketTagging");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let bucket = request.bucket()?.to_string();
        let found = gateway.metadata.get_bucket_configurations(BucketRef { bucket }).await?;
        let mut kinds = found.configurations.into_iter();
        let Some(tagging) = kinds.find(|found| found.kind == ConfigurationKind::Tagging) else {
            return Err(
                S3Error::new(ErrorCode::NoSuchTagSet).detail("BucketName", request.bucket()?.as_str())
            );
        };
        let tags: Tags = serde_json::from_str(&tagging.document).map_err(S3Error::internal)?;
        Ok(response::xml("Tagging", |xml| write_tags(xml, &tags)))
    }
}

/// `PUT /bucket?tagging`.
#[derive(Debug)]
pub(crate) struct PutBucketTagging;

impl DeferredOperation for PutBucketTagging {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("tagging")],
        body: Body::Document("Tagging"),
        members: &[
            groups::BUCKET,
            &[Member::element("Tagging/TagSet/Tag/Key"), Member::element("Tagging/TagSet/Tag/Value")],
        ],
        ..Declaration::new("PutBucketTagging", Verb::Put, Resource::Bucket)
    };

    fn parse(request: &Request) -> S3Result<Self> {
        require_document_digest(request)?;
        Ok(Self)
    }

    async fn run(self, pending: Pending, request: Request, body: RequestBody) -> S3Result<Response> {
        let tags = parse_bucket_tag_document(&body.document(&request, "Tagging").await?)?;
        // Policies ask for the tags that are set.
        let needed = Permissions::one(Permission::on_target("s3:PutBucketTagging", &request));
        let gateway = &pending.with(needed, &tags).await?;
        put(gateway, &request, ConfigurationKind::Tagging, Some(to_document(&tags)?)).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

/// `DELETE /bucket?tagging`.
#[derive(Debug)]
pub(crate) struct DeleteBucketTagging;

impl Operation for DeleteBucketTagging {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("tagging")],
        members: &[groups::BUCKET],
        ..Declaration::new("DeleteBucketTagging", Verb::Delete, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutBucketTagging");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        put(gateway, &request, ConfigurationKind::Tagging, None).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

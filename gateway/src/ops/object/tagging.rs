//! GetObjectTagging, PutObjectTagging, DeleteObjectTagging.

use cairn_protocol::metadata::{Tags, UpdateTags};
use http::StatusCode;

use super::read::lookup;
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::S3Result;
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{parse_tag_document, refuse_version, write_tags};

/// `GET /bucket/key?tagging`.
#[derive(Debug)]
pub(crate) struct GetObjectTagging;

impl Operation for GetObjectTagging {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("tagging")],
        members: &[groups::COMMON, &[groups::VERSION]],
        ..Declaration::new("GetObjectTagging", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObjectTagging");

    fn parse(request: &Request) -> S3Result<Self> {
        refuse_version(&request.query).map(|()| Self)
    }

    async fn run(self, gateway: &Gateway, request: Request, _: RequestBody) -> S3Result<Response> {
        let object = lookup(gateway, request.bucket()?, request.key()?).await?;
        Ok(response::xml("Tagging", |xml| write_tags(xml, &object.tags)))
    }
}

/// `PUT /bucket/key?tagging`.
#[derive(Debug)]
pub(crate) struct PutObjectTagging;

impl Operation for PutObjectTagging {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("tagging")],
        body: Body::Document("Tagging"),
        members: &[
            groups::COMMON,
            &[
                groups::VERSION,
                Member::element("Tagging/TagSet/Tag/Key"),
                Member::element("Tagging/TagSet/Tag/Value"),
            ],
        ],
        ..Declaration::new("PutObjectTagging", Verb::Put, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObjectTagging");

    fn parse(request: &Request) -> S3Result<Self> {
        refuse_version(&request.query).map(|()| Self)
    }

    async fn run(self, gateway: &Gateway, request: Request, body: RequestBody) -> S3Result<Response> {
        let tags = parse_tag_document(&body.document(&request, "Tagging").await?)?;
        replace(gateway, &request, tags).await?;
        Ok(response::empty(StatusCode::OK))
    }
}

/// `DELETE /bucket/key?tagging`.
#[derive(Debug)]
pub(crate) struct DeleteObjectTagging;

impl Operation for DeleteObjectTagging {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("tagging")],
        members: &[groups::BUCKET, &[groups::VERSION]],
        ..Declaration::new("DeleteObjectTagging", Verb::Delete, Resource::Object)
    };
    const ACTION: Action = Action("s3:DeleteObjectTagging");

    fn parse(request: &Request) -> S3Result<Self> {
        refuse_version(&request.query).map(|()| Self)
    }

    async fn run(self, gateway: &Gateway, request: Request, _: RequestBody) -> S3Result<Response> {
        replace(gateway, &request, Tags::new()).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

async fn replace(gateway: &Gateway, request: &Request, tags: Tags) -> S3Result<()> {
    let (bucket, key) = (request.bucket()?.to_string(), request.key()?.to_string());
    gateway.metadata.update_tags(UpdateTags { bucket, key, tags, mutation: gateway.mutation() }).await?;
    Ok(())
}

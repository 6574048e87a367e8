//! GetObjectTagging, PutObjectTagging, DeleteObjectTagging.

use cairn_protocol::metadata::{Tags, UpdateTags, VersionName};
use http::StatusCode;

use super::identity::set_version;
use super::read::{lookup, missing};
use crate::access::{Authorised, Pending, Permission, Permissions};
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::S3Result;
use crate::ops::{DeferredOperation, Operation};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{parse_tag_document, parse_version, write_tags};

/// `GET /bucket/key?tagging`.
#[derive(Debug)]
pub(crate) struct GetObjectTagging {
    version: Option<VersionName>,
}

impl Operation for GetObjectTagging {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("tagging")],
        members: &[groups::COMMON, &[groups::VERSION]],
        ..Declaration::new("GetObjectTagging", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObjectTagging");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { version: parse_version(&request.query)? })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let object = lookup(gateway, request.bucket()?, request.key()?, self.version).await?;
        let answer = response::xml("Tagging", |xml| write_tags(xml, &object.tags));
        Ok(with_version(answer, object.shown_name()))
    }
}

/// `PUT /bucket/key?tagging`.
#[derive(Debug)]
pub(crate) struct PutObjectTagging {
    version: Option<VersionName>,
}

/// Policies may ask for the tags, so the permission is checked when they are read.
impl DeferredOperation for PutObjectTagging {
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

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { version: parse_version(&request.query)? })
    }

    async fn run(self, pending: Pending, request: Request, body: RequestBody) -> S3Result<Response> {
        let tags = parse_tag_document(&body.document(&request, "Tagging").await?)?;
        let needed = Permissions::one(Permission::on_target("s3:PutObjectTagging", &request));
        let gateway = pending.with(needed, &tags).await?;
        let name = replace(&gateway, &request, self.version, tags).await?;
        Ok(with_version(response::empty(StatusCode::OK), name))
    }
}

/// `DELETE /bucket/key?tagging`.
#[derive(Debug)]
pub(crate) struct DeleteObjectTagging {
    version: Option<VersionName>,
}

impl Operation for DeleteObjectTagging {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("tagging")],
        members: &[groups::BUCKET, &[groups::VERSION]],
        ..Declaration::new("DeleteObjectTagging", Verb::Delete, Resource::Object)
    };
    const ACTION: Action = Action("s3:DeleteObjectTagging");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { version: parse_version(&request.query)? })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let name = replace(gateway, &request, self.version, Tags::new()).await?;
        Ok(with_version(response::empty(StatusCode::NO_CONTENT), name))
    }
}

/// Replaces the tags of a version. Returns the version id to show.
async fn replace(
    gateway: &Authorised,
    request: &Request,
    version: Option<VersionName>,
    tags: Tags,
) -> S3Result<Option<VersionName>> {
    let (bucket, key) = (request.bucket()?.to_string(), request.key()?);
    let update = UpdateTags { bucket, key: key.to_string(), version, tags, mutation: gateway.mutation() };
    gateway.metadata.update_tags(update).await.map_err(|error| missing(error, key, version))
}

fn with_version(mut answer: Response, name: Option<VersionName>) -> Response {
    set_version(&mut answer, name);
    answer
}

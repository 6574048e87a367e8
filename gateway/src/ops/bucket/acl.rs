//! GetBucketAcl, PutBucketAcl.

use cairn_policy::acl::Acl;
use cairn_protocol::metadata::ConfigurationKind;
use http::StatusCode;

use super::configuration;
use crate::access::Authorised;
use crate::access::documents::Document;
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::acl::{RequestedAcl, Writer, write_acl};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};

/// `GET /bucket?acl`.
#[derive(Debug)]
pub(super) struct GetBucketAcl;

impl Operation for GetBucketAcl {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("acl")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetBucketAcl", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetBucketAcl");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let bucket = gateway.current_bucket().await?;
        let owner = &bucket.info.owner;
        // Without ACLs the answer is the one that AWS gives then.
        let acl = bucket.rules().filter(|rules| rules.has_acls()).map(|rules| rules.acl.clone());
        let acl = acl.unwrap_or_else(|| Acl::private(&owner.canonical_id));
        Ok(response::document(write_acl(owner, &acl)))
    }
}

/// `PUT /bucket?acl`.
#[derive(Debug)]
pub(super) struct PutBucketAcl;

impl Operation for PutBucketAcl {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("acl")],
        body: Body::Document("AccessControlPolicy"),
        members: &[groups::BUCKET_GRANTS, groups::ACL_ELEMENTS, groups::BUCKET],
        ..Declaration::new("PutBucketAcl", Verb::Put, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutBucketAcl");

    fn parse(request: &Request) -> S3Result<Self> {
        RequestedAcl::parse(&request.headers).map(|_| Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let bucket = gateway.bucket().await?;
        let owner = &bucket.info.owner;
        let requested = RequestedAcl::read(&request, body, owner).await?;
        let rules =
            bucket.rules().ok_or_else(|| S3Error::internal("a bucket without rules was written to"))?;
        let acl = requested.checked(gateway, rules, owner, owner, Writer::Other).await?;
        let document = (acl != Acl::private(&owner.canonical_id)).then(|| acl.write());
        configuration::put(gateway, &request, ConfigurationKind::Acl, document).await?;
        Ok(response::empty(StatusCode::OK))
    }
}

//! GetObjectAcl, PutObjectAcl.

use cairn_policy::acl::Acl;
use cairn_protocol::metadata::{Account, ObjectVersion, UpdateAccess, VersionName};
use http::StatusCode;

use super::identity::set_version;
use super::read::{lookup, missing};
use crate::access::documents::Document;
use crate::access::{Authorised, BucketAccess};
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::acl::{RequestedAcl, Writer, stored, write_acl};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::parse_version;

/// The account that owns an object. Where ACLs do not count, the owner of the bucket owns everything.
fn owner(object: &ObjectVersion, bucket: &BucketAccess) -> Account {
    let own = object.attributes.access.as_ref().and_then(|access| access.owner.as_ref());
    let counts = bucket.rules().is_some_and(|rules| rules.has_acls());
    own.filter(|_| counts).unwrap_or(&bucket.info.owner).clone()
}

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

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let object = lookup(gateway, request.bucket()?, request.key()?, self.version).await?;
        let bucket = gateway.current_bucket().await?;
        let owner = owner(&object, &bucket);
        let text = object.attributes.access.as_ref().and_then(|access| access.acl.as_deref());
        let counts = bucket.rules().is_some_and(|rules| rules.has_acls());
        let acl = match text.filter(|_| counts) {
            Some(text) => Acl::read(text).map_err(|error| S3Error::internal(error.to_string()))?,
            None => Acl::private(&owner.canonical_id),
        };
        let mut answer = response::document(write_acl(&owner, &acl));
        set_version(&mut answer, object.shown_name());
        Ok(answer)
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
        ..Declaration::new("PutObjectAcl", Verb::Put, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObjectAcl");

    fn parse(request: &Request) -> S3Result<Self> {
        RequestedAcl::parse(&request.headers)?;
        Ok(Self { version: parse_version(&request.query)? })
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let (bucket, key) = (gateway.bucket().await?, request.key()?);
        let object = lookup(gateway, request.bucket()?, key, self.version).await?;
        let owner = owner(&object, &bucket);
        let writer = Writer::of_object(&request, &bucket.info.owner);
        let requested = RequestedAcl::read(&request, body, &owner).await?;
        let rules =
            bucket.rules().ok_or_else(|| S3Error::internal("a bucket without rules was written to"))?;
        let acl = requested.checked(gateway, rules, &owner, &bucket.info.owner, writer).await?;
        let name = if rules.has_acls() {
            let update = UpdateAccess {
                bucket: request.bucket()?.to_string(),
                key: key.to_string(),
                // The version that was looked at, whatever has come since.
                version: Some(object.name()),
                access: stored(&owner, &bucket.info.owner, &acl),
                mutation: gateway.mutation(),
            };
            let updated = gateway.metadata.update_access(update).await;
            updated.map_err(|error| missing(error, key, self.version))?
        } else {
            object.shown_name()
        };
        let mut answer = response::empty(StatusCode::OK);
        set_version(&mut answer, name);
        Ok(answer)
    }
}

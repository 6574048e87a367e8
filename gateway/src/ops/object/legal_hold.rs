//! GetObjectLegalHold, PutObjectLegalHold.

use cairn_protocol::metadata::{LockChange, PutObjectLock, Tags, VersionName};
use http::StatusCode;

use super::identity::set_version;
use super::read::{lookup, missing};
use crate::access::{Authorised, Pending, Permission, Permissions};
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::lock::{require_document_digest, require_object_lock};
use crate::ops::{DeferredOperation, Operation};
use crate::request::{Head, Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{hold_name, parse_legal_hold, parse_version, set_lock_headers};

/// `GET /bucket/key?legal-hold`.
#[derive(Debug)]
pub(crate) struct GetObjectLegalHold {
    version: Option<VersionName>,
}

impl Operation for GetObjectLegalHold {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("legal-hold")],
        members: &[groups::COMMON, &[groups::VERSION]],
        ..Declaration::new("GetObjectLegalHold", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObjectLegalHold");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { version: parse_version(&request.query)? })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        require_object_lock(gateway, &request).await?;
        let object = lookup(gateway, request.bucket()?, request.key()?, self.version).await?;
        match object.attributes.lock.and_then(|lock| lock.legal_hold) {
            Some(held) => Ok(response::xml("LegalHold", |xml| xml.text("Status", hold_name(held)))),
            None => Err(S3Error::new(ErrorCode::NoSuchObjectLockConfiguration)),
        }
    }
}

/// `PUT /bucket/key?legal-hold`. Policies may ask for what the document says, so the check follows when it is read.
#[derive(Debug)]
pub(crate) struct PutObjectLegalHold {
    version: Option<VersionName>,
}

impl DeferredOperation for PutObjectLegalHold {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("legal-hold")],
        body: Body::Document("LegalHold"),
        members: &[groups::COMMON, &[groups::VERSION, Member::element("LegalHold/Status")]],
        ..Declaration::new("PutObjectLegalHold", Verb::Put, Resource::Object)
    };

    fn parse(request: &Request) -> S3Result<Self> {
        let version = parse_version(&request.query)?;
        require_document_digest(request)?;
        Ok(Self { version })
    }

    async fn run(self, pending: Pending, request: Request, body: RequestBody) -> S3Result<Response> {
        let held = parse_legal_hold(&body.document(&request, "LegalHold").await?)?;
        // Policies ask for what the document says by the same key as for the header of writes.
        let mut head = Head::clone(&request);
        set_lock_headers(&mut head.headers, None, Some(held));
        let request = Request::from(head);
        let needed = Permissions::one(Permission::on_target("s3:PutObjectLegalHold", &request));
        let gateway = &pending.about(&request).with(needed, &Tags::new()).await?;
        let (bucket, key, mutation) = (request.bucket()?.to_string(), request.key()?, gateway.mutation());
        let change = LockChange::LegalHold(held);
        let put = PutObjectLock { bucket, key: key.to_string(), version: self.version, change, mutation };
        let name =
            gateway.metadata.put_object_lock(put).await.map_err(|error| missing(error, key, self.version))?;
        let mut answer = response::empty(StatusCode::OK);
        set_version(&mut answer, name);
        Ok(answer)
    }
}

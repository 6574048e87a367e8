//! GetObjectRetention, PutObjectRetention.

use cairn_protocol::metadata::{LockChange, PutObjectLock, Tags, VersionName};
use http::StatusCode;

use super::identity::set_version;
use super::lock::{BYPASS_HEADER, may_bypass, wants_bypass};
use super::read::{lookup, missing};
use crate::access::{Authorised, Pending, Permission, Permissions};
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::lock::{require_document_digest, require_object_lock};
use crate::ops::{DeferredOperation, Operation};
use crate::request::{Head, Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{parse_retention, parse_version, set_lock_headers, write_retention};

/// `GET /bucket/key?retention`.
#[derive(Debug)]
pub(crate) struct GetObjectRetention {
    version: Option<VersionName>,
}

impl Operation for GetObjectRetention {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("retention")],
        members: &[groups::COMMON, &[groups::VERSION]],
        ..Declaration::new("GetObjectRetention", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObjectRetention");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self { version: parse_version(&request.query)? })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        require_object_lock(gateway, &request).await?;
        let object = lookup(gateway, request.bucket()?, request.key()?, self.version).await?;
        match object.attributes.lock.and_then(|lock| lock.retention) {
            Some(retention) => Ok(response::xml("Retention", |xml| write_retention(xml, retention))),
            None => Err(S3Error::new(ErrorCode::NoSuchObjectLockConfiguration)),
        }
    }
}

/// `PUT /bucket/key?retention`. Policies may ask for what the document says, so the check follows when it is read.
#[derive(Debug)]
pub(crate) struct PutObjectRetention {
    version: Option<VersionName>,
}

impl DeferredOperation for PutObjectRetention {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("retention")],
        body: Body::Document("Retention"),
        members: &[
            groups::COMMON,
            &[
                groups::VERSION,
                Member::header(BYPASS_HEADER).listed(groups::BOOLEAN),
                Member::element("Retention/Mode"),
                Member::element("Retention/RetainUntilDate"),
                Member::element("Retention/EventHold").missing(groups::NO_EVENT_HOLD),
                Member::element("Retention/EventHoldDuration/Days").missing(groups::NO_EVENT_HOLD),
                Member::element("Retention/EventHoldDuration/Years").missing(groups::NO_EVENT_HOLD),
            ],
        ],
        ..Declaration::new("PutObjectRetention", Verb::Put, Resource::Object)
    };

    fn parse(request: &Request) -> S3Result<Self> {
        let version = parse_version(&request.query)?;
        require_document_digest(request)?;
        Ok(Self { version })
    }

    async fn run(self, pending: Pending, request: Request, body: RequestBody) -> S3Result<Response> {
        let document = body.document(&request, "Retention").await?;
        let retention = parse_retention(&document, request.caller.facts().time)?;
        // Policies ask for what the document says by the same keys as for headers of writes.
        let mut head = Head::clone(&request);
        set_lock_headers(&mut head.headers, retention, None);
        let request = Request::from(head);
        let needed = Permissions::one(Permission::on_target("s3:PutObjectRetention", &request));
        let gateway = &pending.about(&request).with(needed, &Tags::new()).await?;
        let (bucket, key) = (request.bucket()?.to_string(), request.key()?);
        require_object_lock(gateway, &request).await?;
        let bypass_governance =
            wants_bypass(gateway, &request).await? && may_bypass(gateway, &request, key.as_str()).await?;
        let change = LockChange::Retention { retention, bypass_governance };
        let mutation = gateway.mutation();
        let put = PutObjectLock { bucket, key: key.to_string(), version: self.version, change, mutation };
        let name =
            gateway.metadata.put_object_lock(put).await.map_err(|error| missing(error, key, self.version))?;
        let mut answer = response::empty(StatusCode::OK);
        set_version(&mut answer, name);
        Ok(answer)
    }
}

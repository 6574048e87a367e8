//! GetObjectLockConfiguration, PutObjectLockConfiguration.

use cairn_protocol::metadata::{BucketLock, BucketRef, SetBucketLock};
use http::StatusCode;

use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::ops::object::require_document_digest;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{parse_bucket_lock, write_bucket_lock};

async fn lock_of(gateway: &Gateway, request: &Request) -> S3Result<Option<BucketLock>> {
    let bucket = request.bucket()?.to_string();
    Ok(gateway.metadata.get_bucket(BucketRef { bucket }).await?.object_lock)
}

/// Checks that the bucket of a request about a lock has Object Lock.
///
/// # Errors
/// `InvalidRequest`, `NoSuchBucket`.
pub(crate) async fn require_object_lock(gateway: &Gateway, request: &Request) -> S3Result<()> {
    match lock_of(gateway, request).await? {
        Some(_) => Ok(()),
        None => Err(S3Error::invalid_request("Bucket is missing Object Lock Configuration")),
    }
}

/// `GET /bucket?object-lock`.
#[derive(Debug)]
pub(crate) struct GetObjectLockConfiguration;

impl Operation for GetObjectLockConfiguration {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("object-lock")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetObjectLockConfiguration", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetBucketObjectLockConfiguration");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Gateway, request: Request, _: RequestBody) -> S3Result<Response> {
        match lock_of(gateway, &request).await? {
            Some(lock) => Ok(response::xml("ObjectLockConfiguration", |xml| write_bucket_lock(xml, lock))),
            None => Err(S3Error::new(ErrorCode::ObjectLockConfigurationNotFoundError)
                .detail("BucketName", request.bucket()?.as_str())),
        }
    }
}

/// `PUT /bucket?object-lock`.
#[derive(Debug)]
pub(crate) struct PutObjectLockConfiguration;

impl Operation for PutObjectLockConfiguration {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("object-lock")],
        body: Body::Document("ObjectLockConfiguration"),
        members: &[
            groups::COMMON,
            &[
                Member::header("x-amz-bucket-object-lock-token")
                    .moot("buckets with versioning get Object Lock without a token"),
                Member::element("ObjectLockConfiguration/ObjectLockEnabled"),
                Member::element("ObjectLockConfiguration/Rule/DefaultRetention/Mode"),
                Member::element("ObjectLockConfiguration/Rule/DefaultRetention/Days"),
                Member::element("ObjectLockConfiguration/Rule/DefaultRetention/Years"),
                Member::element("ObjectLockConfiguration/Rule/DefaultRetention/DefaultEventHold/Days")
                    .missing(groups::NO_EVENT_HOLD),
                Member::element("ObjectLockConfiguration/Rule/DefaultRetention/DefaultEventHold/Years")
                    .missing(groups::NO_EVENT_HOLD),
            ],
        ],
        ..Declaration::new("PutObjectLockConfiguration", Verb::Put, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutBucketObjectLockConfiguration");

    fn parse(request: &Request) -> S3Result<Self> {
        require_document_digest(request)?;
        Ok(Self)
    }

    async fn run(self, gateway: &Gateway, request: Request, body: RequestBody) -> S3Result<Response> {
        let lock = parse_bucket_lock(&body.document(&request, "ObjectLockConfiguration").await?)?;
        let (bucket, mutation) = (request.bucket()?.to_string(), gateway.mutation());
        gateway.metadata.set_bucket_lock(SetBucketLock { bucket, lock, mutation }).await?;
        Ok(response::empty(StatusCode::OK))
    }
}

//! GetObjectLockConfiguration, PutObjectLockConfiguration.

use cairn_protocol::metadata::SetBucketLock;
use http::StatusCode;

use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::lock::{lock_of_bucket, require_document_digest};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{parse_bucket_lock, write_bucket_lock};

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

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        match lock_of_bucket(gateway, &request).await? {
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

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let lock = parse_bucket_lock(&body.document(&request, "ObjectLockConfiguration").await?)?;
        let (bucket, mutation) = (request.bucket()?.to_string(), gateway.mutation());
        gateway.metadata.set_bucket_lock(SetBucketLock { bucket, lock, mutation }).await?;
        Ok(response::empty(StatusCode::OK))
    }
}

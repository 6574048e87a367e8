//! PutObject.

use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{CommitObject, ObjectAttributes, Tags, WriteCondition};
use http::StatusCode;

use super::identity::set_version;
use super::object_response::set_checksum;
use super::precheck::precheck;
use super::quota::check_room;
use super::storage_class::check_storage_class;
use crate::access::{Authorised, Permission, Permissions};
use crate::body::{PayloadSpec, SINGLE_UPLOAD_MAX};
use crate::caller::Action;
use crate::checksum::{Algorithm, ChecksumType};
use crate::data::Placement;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::acl::{RequestedAcl, of_new_object};
use crate::ops::lifecycle::{NewObject, set_expiration};
use crate::ops::lock::check_lock;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{
    parse_attributes, parse_block_size, parse_lock_headers, parse_tag_header, parse_write_condition,
};

/// `PUT /bucket/key`.
#[derive(Debug)]
pub(crate) struct PutObject {
    attributes: ObjectAttributes,
    block_size: Option<u64>,
    tags: Tags,
    condition: WriteCondition,
    payload: PayloadSpec,
}

impl Operation for PutObject {
    const DECLARATION: &'static Declaration = &Declaration {
        body: Body::Data,
        members: &[
            groups::ATTRIBUTES,
            groups::WRITE_CONDITIONS,
            groups::OBJECT_GRANTS,
            groups::ENCRYPTION,
            groups::CUSTOMER_KEY,
            groups::LOCK,
            groups::BLOCK_SIZE,
            groups::COMMON,
            &[Member::header("x-amz-write-offset-bytes").missing("Appending to objects is not implemented.")],
        ],
        ..Declaration::new("PutObject", Verb::Put, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObject");

    fn parse(request: &Request) -> S3Result<Self> {
        RequestedAcl::parse(&request.headers)?;
        // S3 computes this checksum if the client sends none.
        let payload = request.upload_spec()?.at_most(SINGLE_UPLOAD_MAX)?.or_default(Algorithm::Crc64Nvme);
        Ok(Self {
            attributes: ObjectAttributes {
                lock: parse_lock_headers(&request.headers, request.caller.facts().time)?,
                ..parse_attributes(&request.headers)?
            },
            block_size: parse_block_size(&request.headers)?,
            tags: parse_tag_header(&request.headers)?.unwrap_or_default(),
            condition: parse_write_condition(&request.headers)?,
            payload,
        })
    }

    fn permissions(&self, request: &Request) -> Permissions {
        Permission::of_upload(request)
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let Self { mut attributes, block_size, tags, condition, payload } = self;
        let (bucket, key) = (request.bucket()?.to_string(), request.key()?.to_string());
        // These checks come before the body is requested, so that a client that waits for `100 Continue` does not send
        // it in vain.
        let (asks, has_digest) = (attributes.lock.is_some(), payload.has_digest());
        gateway.check_bucket(move |bucket| check_lock(bucket.info.object_lock, asks, has_digest)).await?;
        check_storage_class(gateway, attributes.storage_class.as_deref()).await?;
        precheck(gateway, &bucket, &key, &condition).await?;
        check_room(gateway, &bucket, &key, payload.length).await?;
        attributes.access = of_new_object(gateway, &request).await?;

        let placement = Placement {
            bucket: bucket.clone(),
            storage_class: attributes.storage_class.clone(),
            begins_at: 0,
            length: Some(payload.length),
            block_size,
        };
        let mut payload = body.payload(&request, payload);
        let stored = gateway.data.write(placement, &mut payload).await?;
        let digests =
            payload.digests().ok_or_else(|| S3Error::internal("a body ended without its digests"))?;
        attributes.checksum = digests.checksum.as_ref().map(|sum| sum.to_stored(ChecksumType::FullObject));
        let checksum = attributes.checksum.clone();
        let commit = CommitObject {
            bucket,
            key: key.clone(),
            version: VersionId(gateway.env.uuid_v7()),
            length: digests.length,
            etag: hex::encode(digests.md5),
            attributes,
            tags: tags.clone(),
            extents: Vec::new(),
            condition,
        };
        let committed = stored.commit_object(commit).await?;
        let mut answer = response::empty(StatusCode::OK);
        response::set_etag(&mut answer, &committed.etag);
        if let Some(checksum) = &checksum {
            set_checksum(&mut answer, checksum, 0);
        }
        set_version(&mut answer, committed.name);
        let (length, made_at) = (digests.length, committed.modified_at);
        set_expiration(&mut answer, gateway, NewObject { key: &key, tags: &tags, length, made_at });
        Ok(answer)
    }
}

//! UploadPart.

use cairn_protocol::id::PartId;
use cairn_protocol::metadata::{BucketRef, ListParts, PutPart, UploadRef};
use http::{HeaderName, StatusCode};

use super::checksum::part_payload;
use super::id::{part_number, upload_ref};
use crate::access::Authorised;
use crate::body::{PayloadSpec, SINGLE_UPLOAD_MAX};
use crate::caller::Action;
use crate::checksum::ChecksumType;
use crate::data::Placement;
use crate::declaration::{Body, Declaration, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::lock::require_digest;
use crate::ops::object::check_room_of_part;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::parse_block_size;

/// The offset in its object at which a part of this length begins, if all parts before it have the same length, as
/// clients make them. The offset decides the block size: the parts of the largest object, 5 GiB each, get blocks that
/// suit an object of that size.
fn begins_at(number: u32, length: u64) -> u64 {
    u64::from(number.saturating_sub(1)).saturating_mul(length)
}

/// Parts from this length on are checked before their body is sent. Asking costs less than sending that many bytes in vain.
const CHECKED_FROM: u64 = 1 << 20;

/// Refuses a part that does not fit the quotas now.
async fn check_room(gateway: &Authorised, target: &UploadRef, number: u32, length: u64) -> S3Result<()> {
    if length < CHECKED_FROM || !gateway.has_quota() {
        return Ok(());
    }
    let info = gateway.metadata.get_bucket(BucketRef { bucket: target.bucket.clone() }).await?;
    if info.room.is_empty() {
        return Ok(());
    }
    let request = ListParts { target: target.clone(), after: number.saturating_sub(1), max: 1 };
    let there = gateway.metadata.list_parts(request).await?.parts;
    let replaced = there.first().filter(|part| part.number == number).map_or(0, |part| part.length);
    check_room_of_part(&info, length, replaced)
}

/// `PUT /bucket/key?partNumber=…&uploadId=…`.
#[derive(Debug)]
pub(crate) struct UploadPart {
    target: UploadRef,
    number: u32,
    /// What the client declares for this part. The upload itself may declare more, for all its parts.
    block_size: Option<u64>,
    payload: PayloadSpec,
}

impl Operation for UploadPart {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("partNumber"), When::Query("uploadId")],
        body: Body::Data,
        members: &[groups::CUSTOMER_KEY, groups::BLOCK_SIZE, groups::COMMON],
        ..Declaration::new("UploadPart", Verb::Put, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObject");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self {
            number: part_number(&request.query)?,
            target: upload_ref(request)?,
            block_size: parse_block_size(&request.headers)?,
            payload: request.upload_spec()?.at_most(SINGLE_UPLOAD_MAX)?,
        })
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let Self { target, number, block_size, payload } = self;
        // This check comes before the body is requested, so that a client that waits for `100 Continue` does not send
        // it in vain.
        let upload = gateway.metadata.get_upload(target.clone()).await?;
        if upload.attributes.lock.is_some() {
            require_digest(payload.has_digest(), "Part")?;
        }
        let payload = part_payload(&upload, payload)?;
        check_room(gateway, &target, number, payload.length).await?;
        let placement = Placement {
            bucket: target.bucket.clone(),
            storage_class: upload.attributes.storage_class,
            begins_at: begins_at(number, payload.length),
            length: Some(payload.length),
            block_size: block_size.or(upload.attributes.block_size),
        };
        let mut payload = body.payload(&request, payload);
        let stored = gateway.data.write(placement, &mut payload).await?;
        let digests =
            payload.digests().ok_or_else(|| S3Error::internal("a body ended without its digests"))?;
        let etag = hex::encode(digests.md5);
        let part = PutPart {
            target,
            number,
            part: PartId(gateway.env.uuid_v7()),
            length: digests.length,
            etag: etag.clone(),
            // A part's own checksum always covers all its bytes, also when the object's is composite.
            checksum: digests.checksum.as_ref().map(|sum| sum.to_stored(ChecksumType::FullObject)),
            extents: Vec::new(),
        };
        stored.put_part(part).await?;
        let mut answer = response::empty(StatusCode::OK);
        response::set_etag(&mut answer, &etag);
        if let Some(checksum) = &digests.checksum {
            let name = HeaderName::from_static(checksum.algorithm().header());
            response::set(&mut answer, name, checksum.to_base64());
        }
        Ok(answer)
    }
}

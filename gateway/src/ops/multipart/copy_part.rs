//! UploadPartCopy.
//!
//! The part refers to the source's extents, so no data is copied. But S3 gives the part an ETag, the MD5 of its bytes,
//! and a checksum. Both are known for a whole object that was put in one request, and for a range that is exactly a
//! part of the source. For any other range the gateway reads the bytes once, verified, and computes them. A made-up
//! ETag would cost nothing and be wrong: clients compare it, and the object's ETag is computed from those of its parts.

use cairn_protocol::id::PartId;
use cairn_protocol::metadata::{
    ChecksumKind, CopyPart, ListObjectParts, LocatedObject, LookupObject, LookupRange, MetadataError,
    ObjectPart, ObjectVersion, ResolvedRange, UploadRef,
};
use futures_util::StreamExt;
use md5::{Digest, Md5};

use super::checksum::{DEFAULT, of_upload};
use super::id::{part_number, upload_ref};
use crate::access::{Authorised, Permission, Permissions};
use crate::body::SINGLE_UPLOAD_MAX;
use crate::caller::Action;
use crate::checksum::{Algorithm, Checksum, ChecksumType, Hasher};
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::object::{marker_as_source, missing, set_versions};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{CopySource, ReadConditions, Verdict, iso8601_seconds, parse_copy_range, quoted};

/// Extents that the lookup of the source returns. If the source is read, more are requested then.
const EXTENTS: u32 = 64;

/// Parts that can begin at the same byte: an empty part, which only the last can be, and a part with bytes.
const PARTS_AT_ONE_PLACE: u32 = 2;

/// `PUT /bucket/key?partNumber=…&uploadId=…` with `x-amz-copy-source`.
#[derive(Debug)]
pub(crate) struct UploadPartCopy {
    target: UploadRef,
    number: u32,
    source: CopySource,
    conditions: ReadConditions,
    /// The first and the last byte.
    range: Option<(u64, u64)>,
}

impl Operation for UploadPartCopy {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("partNumber"), When::Query("uploadId"), When::Header("x-amz-copy-source")],
        members: &[
            groups::COPY_SOURCE,
            groups::CUSTOMER_KEY,
            groups::SOURCE_CUSTOMER_KEY,
            groups::COMMON,
            &[Member::header("x-amz-copy-source-range")],
        ],
        ..Declaration::new("UploadPartCopy", Verb::Put, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObject");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self {
            number: part_number(&request.query)?,
            target: upload_ref(request)?,
            source: CopySource::parse(&request.headers)?,
            conditions: ReadConditions::parse_copy_source(&request.headers)?,
            range: parse_copy_range(&request.headers)?,
        })
    }

    fn permissions(&self, request: &Request) -> Permissions {
        let CopySource { bucket, key, version } = &self.source;
        let source = Permission::on_object("s3:GetObject", bucket.as_str(), key.as_str(), *version);
        Permissions::one(Permission::on_target(Self::ACTION.0, request)).and(source.of_source())
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let upload = gateway.metadata.get_upload(self.target.clone()).await?;
        let source = self.lookup(gateway).await?;
        let (start, end) = self.bytes(&source)?;
        let explicit = of_upload(&upload).map(|(algorithm, _)| algorithm);
        let (version, name) =
            (source.object.reference(self.source.bucket.as_str()), source.object.shown_name());
        let (etag, checksum) = match known_digests(gateway, &source.object, (start, end), explicit).await? {
            Some(known) => known,
            None => read_digests(gateway, source, explicit.unwrap_or(DEFAULT)).await?,
        };
        let copy = CopyPart {
            target: self.target,
            number: self.number,
            part: PartId(gateway.env.uuid_v7()),
            source: version,
            start,
            end,
            etag: etag.clone(),
            checksum: Some(checksum.to_stored(ChecksumType::FullObject)),
        };
        let copied = gateway.metadata.copy_part(copy).await?;
        let mut answer = response::xml("CopyPartResult", |xml| {
            xml.text("LastModified", &iso8601_seconds(copied.modified_at));
            xml.text("ETag", &quoted(&etag));
            if explicit.is_some() {
                xml.text(checksum.algorithm().element(), &checksum.to_base64());
            }
        });
        set_versions(&mut answer, None, name);
        Ok(answer)
    }
}

impl UploadPartCopy {
    async fn lookup(&self, gateway: &Authorised) -> S3Result<LocatedObject> {
        let range = match self.range {
            Some((first, last)) => LookupRange::Bytes { first, last: Some(last) },
            None => LookupRange::Whole,
        };
        let lookup = LookupObject {
            bucket: self.source.bucket.to_string(),
            key: self.source.key.to_string(),
            version: self.source.version,
            range,
            extents_max: EXTENTS,
        };
        let source = gateway.metadata.lookup_object(lookup).await.map_err(|error| match error {
            MetadataError::DeleteMarker { .. } if self.source.version.is_some() => marker_as_source(),
            error => {
                let error = missing(error, &self.source.key, self.source.version);
                gateway.missing(self.source.bucket.as_str(), error)
            }
        })?;
        match self.conditions.evaluate(&source.object.etag, source.object.modified_at) {
            Verdict::Proceed => Ok(source),
            Verdict::NotModified(condition) | Verdict::Failed(condition) => {
                Err(S3Error::new(ErrorCode::PreconditionFailed)
                    .detail("Condition", format!("x-amz-copy-source-{condition}")))
            }
        }
    }

    /// The range to copy: start (included) and end (excluded).
    fn bytes(&self, source: &LocatedObject) -> S3Result<(u64, u64)> {
        let length = source.object.length;
        let (start, end) = match self.range {
            None => (0, length),
            Some((first, last)) if last < length => (first, last + 1),
            Some((first, last)) => {
                return Err(S3Error::invalid_argument(
                    "x-amz-copy-source-range",
                    format!("bytes={first}-{last}"),
                    format!("Range specified is not valid for source object of size: {length}"),
                ));
            }
        };
        if end - start > SINGLE_UPLOAD_MAX {
            return Err(S3Error::invalid_request(format!(
                "The specified copy source is larger than the maximum allowable size for a copy source: \
                 {SINGLE_UPLOAD_MAX}"
            )));
        }
        Ok((start, end))
    }
}

/// The recorded ETag and checksum of exactly the copied bytes, if there are any: those of a whole object that was put
/// in one request, or of a part of the source. An upload without an algorithm takes a checksum of any algorithm.
async fn known_digests(
    gateway: &Authorised,
    source: &ObjectVersion,
    (start, end): (u64, u64),
    explicit: Option<Algorithm>,
) -> S3Result<Option<(String, Checksum)>> {
    let (etag, stored) = if source.part_count > 0 {
        match part_at(gateway, source, start, end).await? {
            Some(part) => (part.etag, part.checksum),
            None => return Ok(None),
        }
    } else if (start, end) == (0, source.length) {
        (Some(source.etag.clone()), source.attributes.checksum.clone())
    } else {
        return Ok(None);
    };
    let is_md5 = |etag: &String| etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (Some(etag), Some(stored)) = (etag.filter(is_md5), stored) else { return Ok(None) };
    let checksum = Checksum::from_stored(&stored).filter(|checksum| {
        stored.kind == ChecksumKind::FullObject
            && explicit.is_none_or(|wanted| checksum.algorithm() == wanted)
    });
    Ok(checksum.map(|checksum| (etag, checksum)))
}

/// The part of the source that consists of exactly these bytes.
async fn part_at(
    gateway: &Authorised,
    source: &ObjectVersion,
    start: u64,
    end: u64,
) -> S3Result<Option<ObjectPart>> {
    let Some(list) = source.content.list() else { return Ok(None) };
    let request = ListObjectParts { list, after: 0, max: PARTS_AT_ONE_PLACE, offset: Some(start) };
    let page = gateway.metadata.list_object_parts(request).await?;
    Ok(page.parts.into_iter().find(|part| part.length == end - start))
}

async fn read_digests(
    gateway: &Authorised,
    mut source: LocatedObject,
    algorithm: Algorithm,
) -> S3Result<(String, Checksum)> {
    if source.object.length == 0 {
        source.range = ResolvedRange::Unsatisfiable;
    }
    let (mut md5, mut hasher) = (Md5::new(), Hasher::new(algorithm));
    let mut bytes = gateway.data.read(source).await?;
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        md5.update(&piece);
        hasher.update(&piece);
    }
    Ok((hex::encode(md5.finalize()), hasher.finish()))
}

//! CopyObject: makes a new version that refers to the extents of the old one. No data moves.

use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{self, ObjectAttributes, ObjectVersion, Tags, VersionName, WriteCondition};
use http::HeaderName;

use super::identity::set_version;
use super::read::lookup;
use super::storage_class::check_storage_class;
use crate::access::{Authorised, Permission, Permissions};
use crate::caller::Action;
use crate::checksum::{Algorithm, ChecksumType, shown};
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::acl::{RequestedAcl, of_new_object};
use crate::ops::lifecycle::{NewObject, set_expiration};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{
    CopySource, ReadConditions, Verdict, iso8601_seconds, parse_attributes, parse_lock_headers,
    parse_tag_header, parse_write_condition, quoted,
};

/// `PUT /bucket/key` with `x-amz-copy-source`.
#[derive(Debug)]
pub(crate) struct CopyObject {
    source: CopySource,
    source_conditions: ReadConditions,
    condition: WriteCondition,
    /// The headers' metadata. It counts only if the directive is `REPLACE`.
    attributes: ObjectAttributes,
    storage_class_given: bool,
    replace_metadata: bool,
    /// `None` keeps the tags of the source.
    tags: Option<Tags>,
    algorithm: Option<Algorithm>,
}

impl Operation for CopyObject {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Header("x-amz-copy-source")],
        members: &[
            groups::COPY_SOURCE,
            groups::ATTRIBUTES,
            groups::WRITE_CONDITIONS,
            groups::OBJECT_GRANTS,
            groups::ENCRYPTION,
            groups::CUSTOMER_KEY,
            groups::SOURCE_CUSTOMER_KEY,
            groups::LOCK,
            groups::COMMON,
            &[
                Member::header("x-amz-metadata-directive").listed(groups::DIRECTIVE),
                Member::header("x-amz-tagging-directive").listed(groups::DIRECTIVE),
                Member::header("x-amz-object-annotation-directive")
                    .moot("objects have no annotations")
                    .listed(groups::ANNOTATION_DIRECTIVE),
                Member::header("x-amz-checksum-algorithm")
                    .partly("the algorithm of the source's checksum only")
                    .listed(groups::ALGORITHMS),
            ],
        ],
        ..Declaration::new("CopyObject", Verb::Put, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObject");

    fn parse(request: &Request) -> S3Result<Self> {
        RequestedAcl::parse(&request.headers)?;
        let replace_tags = replaces(request, "x-amz-tagging-directive")?;
        let tags = parse_tag_header(&request.headers)?;
        if tags.is_some() && !replace_tags {
            return Err(S3Error::invalid_request(
                "x-amz-tagging is only used with an x-amz-tagging-directive of REPLACE.",
            ));
        }
        Ok(Self {
            source: CopySource::parse(&request.headers)?,
            source_conditions: ReadConditions::parse_copy_source(&request.headers)?,
            condition: parse_write_condition(&request.headers)?,
            attributes: ObjectAttributes {
                lock: parse_lock_headers(&request.headers, request.caller.facts().time)?,
                ..parse_attributes(&request.headers)?
            },
            storage_class_given: request.headers.contains_key("x-amz-storage-class"),
            replace_metadata: replaces(request, "x-amz-metadata-directive")?,
            tags: replace_tags.then(|| tags.unwrap_or_default()),
            algorithm: request.header("x-amz-checksum-algorithm")?.and_then(Algorithm::parse),
        })
    }

    fn permissions(&self, request: &Request) -> Permissions {
        Permission::of_upload(request).and(self.on_source("s3:GetObject"))
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let (bucket, key) = (request.bucket()?, request.key()?);
        check_storage_class(gateway, self.attributes.storage_class.as_deref()).await?;
        let source = find_source(gateway, &self.source).await?;
        if self.tags.is_none() && !source.tags.is_empty() {
            // The tags are copied too.
            let needed = Permissions::one(self.on_source("s3:GetObjectTagging"))
                .and(Permission::on_target("s3:PutObjectTagging", &request));
            gateway.also(needed, &source.tags).await?;
        }
        self.check_source(&source)?;
        // A copy of an older version onto its object brings it back.
        if self.source.bucket == *bucket && self.source.key == *key && self.source.version.is_none() {
            self.check_changes(&source)?;
        }
        // The ACL of the source is not copied.
        let access = of_new_object(gateway, &request).await?;
        let attributes = ObjectAttributes { access, ..self.new_attributes(&source) };
        let checksum = attributes.checksum.clone();
        let tags = self.tags.as_ref().unwrap_or(&source.tags).clone();
        let copied = gateway
            .metadata
            .copy_object(metadata::CopyObject {
                source: source.reference(self.source.bucket.as_str()),
                bucket: bucket.to_string(),
                key: key.to_string(),
                version: VersionId(gateway.env.uuid_v7()),
                etag: source.etag.clone(),
                attributes: Some(attributes),
                tags: self.tags,
                condition: self.condition,
            })
            .await?;
        let mut answer = response::xml("CopyObjectResult", |xml| {
            xml.text("LastModified", &iso8601_seconds(copied.modified_at));
            xml.text("ETag", &quoted(&copied.etag));
            if let Some(checksum) = &checksum {
                xml.text(Algorithm::from(checksum.algorithm).element(), &shown(checksum, source.part_count));
                xml.text("ChecksumType", ChecksumType::from(checksum.kind).name());
            }
        });
        set_versions(&mut answer, copied.name, source.shown_name());
        let (length, made_at) = (source.length, copied.modified_at);
        let object = NewObject { key: key.as_str(), tags: &tags, length, made_at };
        set_expiration(&mut answer, gateway, object);
        Ok(answer)
    }
}

impl CopyObject {
    fn on_source(&self, action: &'static str) -> Permission {
        let CopySource { bucket, key, version } = &self.source;
        Permission::on_object(action, bucket.as_str(), key.as_str(), *version).of_source()
    }

    fn check_source(&self, source: &ObjectVersion) -> S3Result<()> {
        match self.source_conditions.evaluate(&source.etag, source.modified_at) {
            Verdict::Proceed => {}
            Verdict::NotModified(condition) | Verdict::Failed(condition) => {
                return Err(S3Error::new(ErrorCode::PreconditionFailed)
                    .detail("Condition", format!("x-amz-copy-source-{condition}")));
            }
        }
        // Computing a checksum of another algorithm needs all bytes of the source.
        let kept = source.attributes.checksum.as_ref().map(|checksum| Algorithm::from(checksum.algorithm));
        match self.algorithm {
            Some(wanted) if Some(wanted) != kept => Err(S3Error::not_implemented(format!(
                "Computing a {} checksum while copying is not implemented",
                wanted.name()
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that a copy of an object onto itself changes something.
    fn check_changes(&self, source: &ObjectVersion) -> S3Result<()> {
        let class_changes =
            self.storage_class_given && self.attributes.storage_class != source.attributes.storage_class;
        if self.replace_metadata || self.tags.is_some() || class_changes {
            return Ok(());
        }
        Err(S3Error::invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes.",
        ))
    }

    /// The attributes of the new version. As in S3, the storage class and the lock are not taken from the source. The checksum is,
    /// because the bytes are the same.
    fn new_attributes(&self, source: &ObjectVersion) -> ObjectAttributes {
        let said = if self.replace_metadata { &self.attributes } else { &source.attributes };
        ObjectAttributes {
            headers: said.headers.clone(),
            user_metadata: said.user_metadata.clone(),
            storage_class: self.attributes.storage_class.clone(),
            checksum: source.attributes.checksum.clone(),
            block_size: None,
            lock: self.attributes.lock,
            access: None,
        }
    }
}

/// Finds the source of a copy.
async fn find_source(gateway: &Authorised, source: &CopySource) -> S3Result<ObjectVersion> {
    match lookup(gateway, &source.bucket, &source.key, source.version).await {
        Err(error) if error.code() == ErrorCode::MethodNotAllowed => Err(marker_as_source()),
        other => other,
    }
}

/// The answer to a copy whose source is named by version id and is a delete marker.
pub(crate) fn marker_as_source() -> S3Error {
    S3Error::invalid_request(
        "The source of a copy request may not specifically refer to a delete marker by version id.",
    )
}

/// Sets the version ids of a copy and of its source.
pub(crate) fn set_versions(answer: &mut Response, made: Option<VersionName>, source: Option<VersionName>) {
    set_version(answer, made);
    if let Some(name) = source {
        response::set(answer, HeaderName::from_static("x-amz-copy-source-version-id"), name.to_string());
    }
}

/// Whether a directive is `REPLACE`. The declaration refuses everything but `COPY` and `REPLACE`.
fn replaces(request: &Request, name: &'static str) -> S3Result<bool> {
    Ok(request.header(name)? == Some("REPLACE"))
}

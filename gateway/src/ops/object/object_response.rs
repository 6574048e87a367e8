//! The response to GetObject and HeadObject without its body: status and headers.

use cairn_protocol::metadata::{ListObjectParts, ObjectChecksum, ObjectVersion};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::identity::identity_headers;
use super::read::Found;
use super::storage_class::ShownClasses;
use crate::access::Authorised;
use crate::checksum::{Algorithm, ChecksumType, shown};
use crate::error::{S3Error, S3Result};
use crate::request::Request;
use crate::response::{self, Response};
use crate::types::user_metadata_header;

/// The content type of an object that was stored without one, as in S3.
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// Response headers that a signed request can override, with the query parameter of each.
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-content-type", header::CONTENT_TYPE),
    ("response-expires", header::EXPIRES),
];

/// Options of the request that change the response's headers.
#[derive(Debug)]
pub(super) struct View {
    overrides: Vec<(HeaderName, HeaderValue)>,
    checksums: bool,
}

impl View {
    /// Reads the request.
    ///
    /// # Errors
    /// `InvalidArgument` for an override that is not a valid header value.
    pub(super) fn parse(request: &Request) -> S3Result<Self> {
        let mut overrides = Vec::new();
        for (parameter, name) in OVERRIDES {
            if let Some(text) = request.query.get(parameter) {
                let value = HeaderValue::from_str(text).map_err(|_| {
                    S3Error::invalid_argument(parameter, text, "The value cannot stand in a header.")
                })?;
                overrides.push((name, value));
            }
        }
        // `ENABLED` is the only value of `x-amz-checksum-mode`.
        let checksums = request.headers.contains_key("x-amz-checksum-mode");
        Ok(Self { overrides, checksums })
    }

    /// The response without its body.
    ///
    /// # Errors
    /// The error of the metanode, if it cannot return a part's checksum or the storage classes.
    pub(super) async fn answer(&self, gateway: &Authorised, found: &Found) -> S3Result<Response> {
        let object = &found.located.object;
        let mut answer =
            response::empty(if found.partial { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
        response::set(&mut answer, header::ACCEPT_RANGES, "bytes");
        response::set(&mut answer, header::CONTENT_TYPE, DEFAULT_TYPE);
        self.set_stored(&mut answer, object);
        let class = object.attributes.storage_class.as_deref();
        if let Some(class) = ShownClasses::of(gateway, [class]).await?.unusual(class) {
            response::set(&mut answer, HeaderName::from_static("x-amz-storage-class"), class);
        }
        self.set_bytes(&mut answer, found);
        if self.checksums {
            self.set_checksum(gateway, &mut answer, found).await?;
        }
        for (name, value) in &self.overrides {
            answer.headers_mut().insert(name, value.clone());
        }
        Ok(answer)
    }

    fn set_stored(&self, answer: &mut Response, object: &ObjectVersion) {
        for (name, value) in identity_headers(object) {
            response::set(answer, name, value);
        }
        for (name, value) in &object.attributes.headers {
            if let Ok(name) = HeaderName::try_from(name) {
                response::set(answer, name, value.as_str());
            }
        }
        for (name, value) in &object.attributes.user_metadata {
            if let Some((name, value)) = user_metadata_header(name, value) {
                answer.headers_mut().insert(name, value);
            }
        }
        if !object.tags.is_empty() {
            response::set(
                answer,
                HeaderName::from_static("x-amz-tagging-count"),
                object.tags.len().to_string(),
            );
        }
    }

    fn set_bytes(&self, answer: &mut Response, found: &Found) {
        let ((start, end), object) = (found.bytes, &found.located.object);
        response::set(answer, header::CONTENT_LENGTH, (end - start).to_string());
        if found.partial && end > start {
            let range = format!("bytes {start}-{}/{}", end - 1, object.length);
            response::set(answer, header::CONTENT_RANGE, range);
        }
        if found.part.is_some() && object.part_count > 0 {
            let count = object.part_count.to_string();
            response::set(answer, HeaderName::from_static("x-amz-mp-parts-count"), count);
        }
    }

    /// The checksum of the bytes that are sent: the object's for the whole object, the part's for a part. No checksum
    /// of another range is known.
    async fn set_checksum(&self, gateway: &Authorised, answer: &mut Response, found: &Found) -> S3Result<()> {
        let object = &found.located.object;
        match found.part {
            Some(number) if object.part_count > 0 => {
                if let Some(part) = part_checksum(gateway, object, number).await? {
                    set_part_checksum(answer, &part, object.attributes.checksum.as_ref());
                }
            }
            _ if found.partial && found.bytes != (0, object.length) => {}
            _ => {
                if let Some(checksum) = &object.attributes.checksum {
                    set_checksum(answer, checksum, object.part_count);
                }
            }
        }
        Ok(())
    }
}

async fn part_checksum(
    gateway: &Authorised,
    object: &ObjectVersion,
    number: u32,
) -> S3Result<Option<ObjectChecksum>> {
    let Some(list) = object.content.list() else { return Ok(None) };
    let request = ListObjectParts { list, after: number.saturating_sub(1), max: 1, offset: None };
    let page = gateway.metadata.list_object_parts(request).await?;
    Ok(page.parts.into_iter().find(|part| part.number == number).and_then(|part| part.checksum))
}

/// Sets the checksum of a part's bytes. The type is the object's, as in S3, because it tells clients how the object's
/// checksum is computed from those of the parts.
fn set_part_checksum(answer: &mut Response, part: &ObjectChecksum, object: Option<&ObjectChecksum>) {
    let name = Algorithm::from(part.algorithm).header();
    response::set(answer, HeaderName::from_static(name), part.value.as_str());
    let kind = ChecksumType::from(object.map_or(part.kind, |object| object.kind)).name();
    response::set(answer, HeaderName::from_static("x-amz-checksum-type"), kind);
}

/// Sets `x-amz-checksum-*` and its type. `part_count` is shown with composite checksums.
pub(crate) fn set_checksum(answer: &mut Response, checksum: &ObjectChecksum, part_count: u32) {
    let name = Algorithm::from(checksum.algorithm).header();
    response::set(answer, HeaderName::from_static(name), shown(checksum, part_count));
    let kind = ChecksumType::from(checksum.kind).name();
    response::set(answer, HeaderName::from_static("x-amz-checksum-type"), kind);
}

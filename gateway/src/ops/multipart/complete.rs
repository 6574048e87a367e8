//! CompleteMultipartUpload.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{
    CompleteUpload, ListParts, MetadataError, ObjectChecksum, PartInfo, Tags, UploadInfo, UploadRef,
    VersionName, WriteCondition,
};
use http::{HeaderMap, header};

use super::checksum::of_upload;
use super::id::{PART_NUMBER_MAX, no_such_upload, show_upload_id, upload_ref};
use super::manifest::{Manifest, Whole};
use crate::access::Authorised;
use crate::body::PayloadSpec;
use crate::caller::Action;
use crate::checksum::{Algorithm, ChecksumType, shown};
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;
use crate::ops::Operation;
use crate::ops::lifecycle::{NewObject, set_expiration};
use crate::ops::object::set_version;
use crate::request::{DOCUMENT_MAX, Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{parse_write_condition, quoted};
use crate::uri;
use crate::xml;

/// `POST /bucket/key?uploadId=…`.
#[derive(Debug)]
pub(crate) struct CompleteMultipartUpload {
    target: UploadRef,
    condition: WriteCondition,
    expected: Expected,
    document: PayloadSpec,
}

/// What the client expects the object to be.
#[derive(Debug)]
struct Expected {
    /// `x-amz-mp-object-size`.
    length: Option<u64>,
    /// `x-amz-checksum-*`.
    checksum: Option<(Algorithm, String)>,
    /// `x-amz-checksum-type`.
    kind: Option<ChecksumType>,
}

impl Operation for CompleteMultipartUpload {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("uploadId")],
        body: Body::Document("CompleteMultipartUpload"),
        members: &[
            groups::WRITE_CONDITIONS,
            groups::CUSTOMER_KEY,
            groups::COMMON,
            &[
                Member::header("x-amz-checksum-type").listed(groups::CHECKSUM_TYPE),
                Member::header("x-amz-mp-object-size"),
            ],
            groups::COMPLETED_PARTS,
        ],
        ..Declaration::new("CompleteMultipartUpload", Verb::Post, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObject");

    fn parse(request: &Request) -> S3Result<Self> {
        // Checksum headers describe the object, not the document in the body.
        let mut headers = request.headers.clone();
        Algorithm::ALL.iter().for_each(|algorithm| drop(headers.remove(algorithm.header())));
        headers.remove("x-amz-sdk-checksum-algorithm");
        let document = PayloadSpec::parse(&headers, request.caller.content())?;
        if document.length > DOCUMENT_MAX as u64 {
            return Err(S3Error::new(ErrorCode::MaxMessageLengthExceeded).closing());
        }
        Ok(Self {
            target: upload_ref(request)?,
            condition: parse_write_condition(&request.headers)?,
            expected: Expected::parse(&request.headers)?,
            document,
        })
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let document = body.payload(&request, self.document).collect(DOCUMENT_MAX).await?;
        if document.is_empty() {
            return Err(S3Error::new(ErrorCode::MissingRequestBodyError));
        }
        let document = xml::parse(&document, "CompleteMultipartUpload")?;
        request.declaration.check_document(&document)?;
        let manifest = Manifest::parse(&document)?;
        let completion = Completion {
            target: self.target,
            condition: self.condition,
            expected: self.expected,
            digest: manifest.digest(),
        };
        let completed = completion.run(gateway, &manifest).await?;
        let mut answer = completed.answer(&request, &completion.target);
        if let Some((tags, length, made_at)) = &completed.made {
            let (key, length, made_at) = (completion.target.key.as_str(), *length, *made_at);
            set_expiration(&mut answer, gateway, NewObject { key, tags, length, made_at });
        }
        Ok(answer)
    }
}

impl Expected {
    fn parse(headers: &HeaderMap) -> S3Result<Self> {
        let text = |name: &str| Ok::<_, S3Error>(single(headers, name)?.map(str::trim));
        let length = text("x-amz-mp-object-size")?.map(|text| {
            let wrong = || S3Error::invalid_request("Value for x-amz-mp-object-size header is invalid.");
            text.parse().map_err(|_| wrong())
        });
        let kind = text("x-amz-checksum-type")?.map(|name| {
            let wrong = || S3Error::invalid_request("Value for x-amz-checksum-type header is invalid.");
            ChecksumType::parse(name).ok_or_else(wrong)
        });
        let mut checksums = Vec::new();
        for algorithm in Algorithm::ALL {
            checksums.extend(text(algorithm.header())?.map(|value| (algorithm, value.to_owned())));
        }
        let checksum = checksums.pop();
        if !checksums.is_empty() {
            return Err(S3Error::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        Ok(Self { length: length.transpose()?, checksum, kind: kind.transpose()? })
    }

    fn check_type(&self, upload: &UploadInfo) -> S3Result<()> {
        match (self.kind, of_upload(upload)) {
            (Some(expected), Some((_, kind))) if expected != kind => Err(S3Error::invalid_request(format!(
                "The upload was created using the {} checksum mode. The complete request must use the same \
                 checksum mode.",
                kind.name()
            ))),
            _ => Ok(()),
        }
    }

    fn check(&self, whole: &Whole) -> S3Result<()> {
        if self.length.is_some_and(|expected| expected != whole.length) {
            return Err(S3Error::invalid_request(format!(
                "The provided 'x-amz-mp-object-size' header does not match what was computed: {}",
                whole.length
            )));
        }
        let Some((algorithm, expected)) = &self.checksum else { return Ok(()) };
        let part_count = u32::try_from(whole.parts.len()).unwrap_or(u32::MAX);
        let is_right = whole.checksum.as_ref().is_some_and(|checksum| {
            let values = [checksum.value.clone(), shown(checksum, part_count)];
            Algorithm::from(checksum.algorithm) == *algorithm && values.contains(expected)
        });
        if is_right {
            return Ok(());
        }
        Err(S3Error::with_message(
            ErrorCode::BadDigest,
            format!("The {} you specified did not match the calculated checksum.", algorithm.name()),
        ))
    }
}

/// How often the parts are listed when other requests replace them in between. Without a limit, a client that replaces parts
/// without end could keep this request running for ever.
const ATTEMPTS: u32 = 10;

/// The request to complete an upload, without HTTP.
struct Completion {
    target: UploadRef,
    condition: WriteCondition,
    expected: Expected,
    digest: String,
}

/// The result of a completion.
struct Completed {
    etag: String,
    checksum: Option<ObjectChecksum>,
    /// The version id to show.
    name: Option<VersionName>,
    /// Tags, length and time of the object; `None` if an earlier request made it.
    made: Option<(Tags, u64, Timestamp)>,
}

impl Completion {
    async fn run(&self, gateway: &Authorised, manifest: &Manifest) -> S3Result<Completed> {
        let version = VersionId(gateway.env.uuid_v7());
        let mut attempts = 1;
        loop {
            match self.attempt(gateway, manifest, version).await {
                // A part was replaced after the parts were listed. The new part may have the same bytes, sent again. So
                // the parts are listed again before the request fails with `InvalidPart`.
                Err(MetadataError::InvalidPart { .. }) if attempts < ATTEMPTS => attempts += 1,
                Err(error) => return self.repeated(error),
                Ok(result) => return result,
            }
        }
    }

    /// Lists the parts, and completes the upload if they match the client's list. The outer error comes from the
    /// metanode.
    async fn attempt(
        &self,
        gateway: &Authorised,
        manifest: &Manifest,
        version: VersionId,
    ) -> Result<S3Result<Completed>, MetadataError> {
        let (upload, parts) = self.uploaded(gateway).await?;
        let (complete, checksum, length) = match self.join(manifest, &upload, &parts, version) {
            Ok(joined) => joined,
            Err(refused) => return Ok(Err(refused)),
        };
        let committed = gateway.metadata.complete_upload(complete).await?;
        let made = Some((upload.tags, length, committed.modified_at));
        Ok(Ok(Completed { etag: committed.etag, checksum, name: committed.name, made }))
    }

    /// The request to the metanode, and the checksum and length of the object.
    fn join(
        &self,
        manifest: &Manifest,
        upload: &UploadInfo,
        parts: &[PartInfo],
        version: VersionId,
    ) -> S3Result<(CompleteUpload, Option<ObjectChecksum>, u64)> {
        self.expected.check_type(upload)?;
        let whole = manifest.join(upload, parts)?;
        self.expected.check(&whole)?;
        let Whole { parts, etag, checksum, length, .. } = whole;
        let complete = CompleteUpload {
            target: self.target.clone(),
            version,
            parts,
            etag,
            checksum: checksum.clone(),
            request_digest: self.digest.clone(),
            condition: self.condition.clone(),
        };
        Ok((complete, checksum, length))
    }

    /// Reads the upload and all its parts.
    async fn uploaded(&self, gateway: &Authorised) -> Result<(UploadInfo, Vec<PartInfo>), MetadataError> {
        let mut parts: Vec<PartInfo> = Vec::new();
        loop {
            let after = parts.last().map_or(0, |part| part.number);
            let list = ListParts { target: self.target.clone(), after, max: PART_NUMBER_MAX };
            let page = gateway.metadata.list_parts(list).await?;
            let ended = !page.truncated || page.parts.is_empty();
            parts.extend(page.parts);
            if ended {
                return Ok((page.upload, parts));
            }
        }
    }

    /// Answers a completion of an upload that no longer exists: a repetition gets the answer of the first completion,
    /// any other request gets `NoSuchUpload`.
    fn repeated(&self, error: MetadataError) -> S3Result<Completed> {
        match error {
            MetadataError::UploadCompleted { completed } if completed.request_digest == self.digest => {
                Ok(Completed {
                    etag: completed.etag,
                    checksum: completed.checksum,
                    name: completed.name,
                    made: None,
                })
            }
            MetadataError::UploadCompleted { .. } | MetadataError::NoSuchUpload => {
                Err(no_such_upload(&show_upload_id(self.target.upload)).caused_by(error))
            }
            error => Err(error.into()),
        }
    }
}

impl Completed {
    fn answer(&self, request: &Request, target: &UploadRef) -> Response {
        // The ETag of a multipart object ends with a hyphen and the number of parts.
        let part_count = self.etag.rsplit_once('-').and_then(|(_, count)| count.parse().ok()).unwrap_or(0);
        let mut answer = response::xml("CompleteMultipartUploadResult", |xml| {
            xml.text("Location", &location(request.caller.facts().tls.is_some(), &request.headers, target));
            xml.text("Bucket", &target.bucket);
            xml.text("Key", &target.key);
            xml.text("ETag", &quoted(&self.etag));
            if let Some(checksum) = &self.checksum {
                xml.text(Algorithm::from(checksum.algorithm).element(), &shown(checksum, part_count));
                xml.text("ChecksumType", ChecksumType::from(checksum.kind).name());
            }
        });
        set_version(&mut answer, self.name);
        answer
    }
}

/// The URL of the object in path style, with the host that the client used.
fn location(is_tls: bool, headers: &HeaderMap, target: &UploadRef) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let host = single(headers, header::HOST.as_str()).ok().flatten().unwrap_or("localhost");
    let host = host.strip_prefix(&format!("{}.", target.bucket)).unwrap_or(host);
    format!("{scheme}://{host}/{}/{}", target.bucket, uri::encode(target.key.as_bytes(), false))
}

#[cfg(test)]
mod tests {
    use cairn_protocol::id::UploadId;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_location_has_the_host_that_the_client_used() {
        let upload = UploadId(uuid::Uuid::nil());
        let target = UploadRef { bucket: "photos".into(), key: "a b".into(), upload };
        let headers =
            |host: &'static str| HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        let plain = location(false, &headers("127.0.0.1:9000"), &target);
        assert_eq!(plain, "http://127.0.0.1:9000/photos/a%20b");
        let virtual_host = location(true, &headers("photos.s3.example.com"), &target);
        assert_eq!(virtual_host, "https://s3.example.com/photos/a%20b");
    }
}

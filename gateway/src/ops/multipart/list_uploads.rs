//! ListMultipartUploads.

use cairn_protocol::metadata::{
    BucketRef, ListMark, ListUploads, UploadEntry, UploadInfo, UploadMark, UploadPage,
};

use super::checksum::of_upload;
use super::id::{parse_upload_id, show_upload_id};
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::bucket::Owners;
use crate::ops::object::ShownClasses;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{Encoding, iso8601_seconds, parse_encoding, parse_limit, write_identity};
use crate::xml::XmlWriter;

/// `GET /bucket?uploads`.
#[derive(Debug)]
pub(crate) struct ListMultipartUploads {
    prefix: String,
    delimiter: Option<String>,
    key_marker: String,
    upload_id_marker: String,
    max_uploads: u32,
    encoding: Encoding,
}

impl Operation for ListMultipartUploads {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("uploads")],
        members: &[
            groups::LIST,
            groups::COMMON,
            &[Member::query("key-marker"), Member::query("max-uploads"), Member::query("upload-id-marker")],
        ],
        ..Declaration::new("ListMultipartUploads", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:ListBucketMultipartUploads");

    fn parse(request: &Request) -> S3Result<Self> {
        let query = &request.query;
        let text = |name| query.get(name).unwrap_or_default().to_owned();
        let key_marker = text("key-marker");
        // S3 ignores `upload-id-marker` without a key marker, and does not repeat it in the response.
        let upload_id_marker = if key_marker.is_empty() { String::new() } else { text("upload-id-marker") };
        Ok(Self {
            prefix: text("prefix"),
            delimiter: Some(text("delimiter")).filter(|delimiter| !delimiter.is_empty()),
            key_marker,
            upload_id_marker,
            max_uploads: parse_limit(query, "max-uploads")?,
            encoding: parse_encoding(query)?,
        })
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let bucket = request.bucket()?.to_string();
        let after = self.after()?;
        let page = if self.max_uploads == 0 {
            gateway.metadata.get_bucket(BucketRef { bucket: bucket.clone() }).await?;
            UploadPage { entries: Vec::new(), truncated: false }
        } else {
            let list = ListUploads {
                bucket: bucket.clone(),
                prefix: self.prefix.clone(),
                delimiter: self.delimiter.clone(),
                after,
                max: self.max_uploads,
            };
            gateway.metadata.list_uploads(list).await?
        };
        let classes = page.entries.iter().map(|entry| match entry {
            UploadEntry::Upload(upload) => upload.attributes.storage_class.as_deref(),
            UploadEntry::CommonPrefix(_) => None,
        });
        let classes = ShownClasses::of(gateway, classes).await?;
        let owners = Owners::of(gateway)?;
        Ok(response::xml("ListMultipartUploadsResult", |xml| {
            self.write(xml, &bucket, &page, &classes, &owners);
        }))
    }
}

impl ListMultipartUploads {
    /// The position at which the page begins.
    fn after(&self) -> S3Result<Option<UploadMark>> {
        let key = self.key_marker.clone();
        if key.is_empty() {
            return Ok(None);
        }
        if !self.upload_id_marker.is_empty() {
            let upload = parse_upload_id(&self.upload_id_marker).ok_or_else(|| {
                S3Error::invalid_argument(
                    "upload-id-marker",
                    &self.upload_id_marker,
                    "Invalid uploadId marker",
                )
            })?;
            return Ok(Some(UploadMark::Upload { key, upload }));
        }
        // A marker that is itself a common prefix was a `NextKeyMarker`, so all keys below that prefix were shown.
        let is_prefix = self.delimiter.as_deref().is_some_and(|delimiter| {
            let rest = key.strip_prefix(&self.prefix);
            rest.and_then(|rest| rest.split_once(delimiter)).is_some_and(|(_, behind)| behind.is_empty())
        });
        let mark = if is_prefix { ListMark::Prefix(key) } else { ListMark::Key(key) };
        Ok(Some(UploadMark::Mark(mark)))
    }

    fn write(
        &self,
        xml: &mut XmlWriter,
        bucket: &str,
        page: &UploadPage,
        classes: &ShownClasses,
        owners: &Owners,
    ) {
        let encoded = |text: &str| self.encoding.apply(text);
        xml.text("Bucket", bucket);
        xml.text("KeyMarker", &encoded(&self.key_marker));
        xml.text("UploadIdMarker", &self.upload_id_marker);
        if let (true, Some(last)) = (page.truncated, page.entries.last()) {
            let (key, upload) = match last {
                UploadEntry::Upload(upload) => (&upload.key, show_upload_id(upload.upload)),
                UploadEntry::CommonPrefix(prefix) => (prefix, String::new()),
            };
            xml.text("NextKeyMarker", &encoded(key));
            xml.text("NextUploadIdMarker", &upload);
        }
        xml.text("Prefix", &encoded(&self.prefix));
        if let Some(delimiter) = &self.delimiter {
            xml.text("Delimiter", &encoded(delimiter));
        }
        xml.value("MaxUploads", self.max_uploads);
        if self.encoding == Encoding::Url {
            xml.text("EncodingType", "url");
        }
        xml.value("IsTruncated", page.truncated);
        for entry in &page.entries {
            if let UploadEntry::Upload(upload) = entry {
                xml.element("Upload", |xml| self.write_upload(xml, upload, classes, owners));
            }
        }
        for entry in &page.entries {
            if let UploadEntry::CommonPrefix(prefix) = entry {
                xml.element("CommonPrefixes", |xml| xml.text("Prefix", &encoded(prefix)));
            }
        }
    }

    fn write_upload(
        &self,
        xml: &mut XmlWriter,
        upload: &UploadInfo,
        classes: &ShownClasses,
        owners: &Owners,
    ) {
        xml.text("Key", &self.encoding.apply(&upload.key));
        xml.text("UploadId", &show_upload_id(upload.upload));
        let own = upload.attributes.access.as_ref().and_then(|access| access.owner.as_ref());
        xml.element("Initiator", |xml| write_identity(xml, owners.owner(own)));
        owners.write(xml, own);
        xml.text("StorageClass", classes.name(upload.attributes.storage_class.as_deref()));
        xml.text("Initiated", &iso8601_seconds(upload.initiated_at));
        if let Some((algorithm, kind)) = of_upload(upload) {
            xml.text("ChecksumAlgorithm", algorithm.name());
            xml.text("ChecksumType", kind.name());
        }
    }
}

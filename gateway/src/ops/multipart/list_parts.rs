//! ListParts.

use cairn_protocol::metadata::{self, PartInfo, PartPage, UploadRef};

use super::checksum::of_upload;
use super::id::{show_upload_id, upload_ref};
use crate::access::Authorised;
use crate::caller::Action;
use crate::checksum::Algorithm;
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::bucket::Owners;
use crate::ops::lifecycle::set_abort;
use crate::ops::object::ShownClasses;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{Encoding, iso8601_seconds, parse_encoding, parse_limit, quoted, write_identity};
use crate::uri::Query;
use crate::xml::XmlWriter;

/// `GET /bucket/key?uploadId=…`.
#[derive(Debug)]
pub(crate) struct ListParts {
    target: UploadRef,
    max_parts: u32,
    after: u32,
    encoding: Encoding,
}

impl Operation for ListParts {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("uploadId")],
        members: &[
            groups::CUSTOMER_KEY,
            groups::COMMON,
            &[
                Member::query("encoding-type").extra(),
                Member::query("max-parts"),
                Member::query("part-number-marker"),
            ],
        ],
        ..Declaration::new("ListParts", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:ListMultipartUploadParts");

    fn parse(request: &Request) -> S3Result<Self> {
        Ok(Self {
            target: upload_ref(request)?,
            max_parts: parse_limit(&request.query, "max-parts")?,
            after: marker(&request.query)?,
            encoding: parse_encoding(&request.query)?,
        })
    }

    async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
        let list =
            metadata::ListParts { target: self.target.clone(), after: self.after, max: self.max_parts };
        let page = gateway.metadata.list_parts(list).await?;
        let owners = Owners::of(gateway)?;
        let class = page.upload.attributes.storage_class.as_deref();
        let class = ShownClasses::of(gateway, [class]).await?.name(class);
        let mut answer = response::xml("ListPartsResult", |xml| self.write(xml, &page, class, &owners));
        set_abort(&mut answer, gateway, &page.upload);
        Ok(answer)
    }
}

fn marker(query: &Query) -> S3Result<u32> {
    let Some(text) = query.get("part-number-marker").filter(|text| !text.is_empty()) else { return Ok(0) };
    // S3 accepts any 32-bit integer as a marker. One above the highest part number means the end of the list.
    let number = text.parse::<i32>().ok().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| {
        S3Error::invalid_argument(
            "part-number-marker",
            text,
            "Argument part-number-marker must be an integer between 0 and 2147483647",
        )
    })
}

impl ListParts {
    fn write(&self, xml: &mut XmlWriter, page: &PartPage, class: &str, owners: &Owners) {
        let checksum = of_upload(&page.upload);
        xml.text("Bucket", &self.target.bucket);
        xml.text("Key", &self.encoding.apply(&self.target.key));
        if self.encoding == Encoding::Url {
            xml.text("EncodingType", "url");
        }
        xml.text("UploadId", &show_upload_id(self.target.upload));
        let own = page.upload.attributes.access.as_ref().and_then(|access| access.owner.as_ref());
        xml.element("Initiator", |xml| write_identity(xml, owners.owner(own)));
        owners.write(xml, own);
        xml.text("StorageClass", class);
        xml.value("PartNumberMarker", self.after);
        xml.value("NextPartNumberMarker", page.parts.last().map_or(0, |part| part.number));
        xml.value("MaxParts", self.max_parts);
        xml.value("IsTruncated", page.truncated);
        if let Some((algorithm, kind)) = checksum {
            xml.text("ChecksumAlgorithm", algorithm.name());
            xml.text("ChecksumType", kind.name());
        }
        for part in &page.parts {
            xml.element("Part", |xml| write_part(xml, part));
        }
    }
}

fn write_part(xml: &mut XmlWriter, part: &PartInfo) {
    xml.value("PartNumber", part.number);
    xml.text("LastModified", &iso8601_seconds(part.modified_at));
    xml.text("ETag", &quoted(&part.etag));
    xml.value("Size", part.length);
    if let Some(checksum) = &part.checksum {
        xml.text(Algorithm::from(checksum.algorithm).element(), &checksum.value);
    }
}

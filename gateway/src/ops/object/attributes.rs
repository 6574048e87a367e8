//! GetObjectAttributes.

use cairn_protocol::metadata::{ListObjectParts, ObjectPartPage, ObjectVersion, VersionName};
use http::header;

use super::identity::set_version;
use super::read::lookup;
use super::storage_class::ShownClasses;
use crate::access::{Authorised, Permission, Permissions};
use crate::caller::Action;
use crate::checksum::{Algorithm, ChecksumType, shown};
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::{S3Error, S3Result};
use crate::headers::list;
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::parse_version;
use crate::xml::XmlWriter;

/// Upper limit of S3 for parts on a page.
const PARTS_MAX: u32 = 1000;

/// `GET /bucket/key?attributes`.
#[derive(Debug)]
pub(crate) struct GetObjectAttributes {
    version: Option<VersionName>,
    wanted: Vec<Attribute>,
    max_parts: u32,
    after: u32,
}

/// The attributes that a client can request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Etag,
    Checksum,
    ObjectParts,
    StorageClass,
    ObjectSize,
}

impl Attribute {
    fn parse(name: &str) -> S3Result<Self> {
        match name {
            "ETag" => Ok(Self::Etag),
            "Checksum" => Ok(Self::Checksum),
            "ObjectParts" => Ok(Self::ObjectParts),
            "StorageClass" => Ok(Self::StorageClass),
            "ObjectSize" => Ok(Self::ObjectSize),
            _ => Err(S3Error::invalid_argument(
                "x-amz-object-attributes",
                name,
                "Invalid attribute name specified.",
            )),
        }
    }
}

impl Operation for GetObjectAttributes {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("attributes")],
        members: &[
            groups::CUSTOMER_KEY,
            groups::COMMON,
            &[
                groups::VERSION,
                Member::header("x-amz-max-parts"),
                Member::header("x-amz-part-number-marker"),
                Member::header("x-amz-object-attributes"),
            ],
        ],
        ..Declaration::new("GetObjectAttributes", Verb::Get, Resource::Object)
    };
    const ACTION: Action = Action("s3:GetObjectAttributes");

    fn parse(request: &Request) -> S3Result<Self> {
        let version = parse_version(&request.query)?;
        let names = list(&request.headers, "x-amz-object-attributes")?.ok_or_else(|| {
            S3Error::invalid_request("Missing required header for this request: x-amz-object-attributes")
        })?;
        let wanted: Vec<_> =
            names.split(',').map(|name| Attribute::parse(name.trim())).collect::<S3Result<_>>()?;
        let max_parts = number(request, "x-amz-max-parts")?.unwrap_or(PARTS_MAX).min(PARTS_MAX);
        Ok(Self {
            version,
            wanted,
            max_parts,
            after: number(request, "x-amz-part-number-marker")?.unwrap_or(0),
        })
    }

    fn permissions(&self, request: &Request) -> Permissions {
        Permissions::one(Permission::on_target(Self::ACTION.0, request))
            .and(Permission::on_target("s3:GetObject", request))
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let object = lookup(gateway, request.bucket()?, request.key()?, self.version).await?;
        let parts = if self.wants(Attribute::ObjectParts) && object.part_count > 0 {
            Some(self.parts(gateway, &object).await?)
        } else {
            None
        };
        let class = object.attributes.storage_class.as_deref();
        let class = ShownClasses::of(gateway, [class]).await?.name(class);
        let mut answer = response::xml("GetObjectAttributesResponse", |xml| {
            self.write(xml, &object, class, parts.as_ref())
        });
        response::set(&mut answer, header::LAST_MODIFIED, response::http_date(object.modified_at));
        set_version(&mut answer, object.shown_name());
        Ok(answer)
    }
}

impl GetObjectAttributes {
    fn wants(&self, attribute: Attribute) -> bool {
        self.wanted.contains(&attribute)
    }

    async fn parts(&self, gateway: &Authorised, object: &ObjectVersion) -> S3Result<ObjectPartPage> {
        let Some(list) = object.content.list().filter(|_| self.max_parts > 0) else {
            return Ok(ObjectPartPage { parts: Vec::new(), truncated: object.part_count > 0 });
        };
        let request = ListObjectParts { list, after: self.after, max: self.max_parts, offset: None };
        Ok(gateway.metadata.list_object_parts(request).await?)
    }

    fn write(
        &self,
        xml: &mut XmlWriter,
        object: &ObjectVersion,
        class: &str,
        parts: Option<&ObjectPartPage>,
    ) {
        if self.wants(Attribute::Etag) {
            // S3 shows the ETag without quotes in this response only.
            xml.text("ETag", &object.etag);
        }
        if let (true, Some(checksum)) = (self.wants(Attribute::Checksum), &object.attributes.checksum) {
            xml.element("Checksum", |xml| {
                xml.text(Algorithm::from(checksum.algorithm).element(), &shown(checksum, object.part_count));
                xml.text("ChecksumType", ChecksumType::from(checksum.kind).name());
            });
        }
        if let Some(page) = parts {
            xml.element("ObjectParts", |xml| self.write_parts(xml, object, page));
        }
        if self.wants(Attribute::StorageClass) {
            xml.text("StorageClass", class);
        }
        if self.wants(Attribute::ObjectSize) {
            xml.value("ObjectSize", object.length);
        }
    }

    fn write_parts(&self, xml: &mut XmlWriter, object: &ObjectVersion, page: &ObjectPartPage) {
        xml.value("IsTruncated", page.truncated);
        xml.value("MaxParts", self.max_parts);
        xml.value("NextPartNumberMarker", page.parts.last().map_or(self.after, |part| part.number));
        for part in &page.parts {
            xml.element("Part", |xml| {
                xml.value("PartNumber", part.number);
                xml.value("Size", part.length);
                if let Some(checksum) = &part.checksum {
                    xml.text(Algorithm::from(checksum.algorithm).element(), &checksum.value);
                }
            });
        }
        xml.value("PartNumberMarker", self.after);
        xml.value("PartsCount", object.part_count);
    }
}

fn number(request: &Request, name: &'static str) -> S3Result<Option<u32>> {
    let Some(text) = request.header(name)? else { return Ok(None) };
    let number = text.parse::<u32>().ok().filter(|number| i32::try_from(*number).is_ok());
    number
        .map(Some)
        .ok_or_else(|| S3Error::invalid_argument(name, text, "The value must be an integer of 0 or more."))
}

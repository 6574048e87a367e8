//! CreateMultipartUpload.

use cairn_protocol::id::UploadId;
use cairn_protocol::metadata::{BucketRef, CreateUpload, ObjectAttributes, Tags, UploadRef};
use http::HeaderName;

use super::checksum::parse_upload_checksum;
use super::id::show_upload_id;
use crate::access::{Authorised, Permission, Permissions};
use crate::caller::Action;
use crate::checksum::{Algorithm, ChecksumType};
use crate::declaration::{Declaration, Member, Resource, Verb, When, groups};
use crate::error::S3Result;
use crate::ops::Operation;
use crate::ops::acl::{RequestedAcl, of_new_object};
use crate::ops::lifecycle::set_abort;
use crate::ops::object::check_storage_class;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{parse_attributes, parse_block_size, parse_lock_headers, parse_tag_header};

/// `POST /bucket/key?uploads`.
#[derive(Debug)]
pub(crate) struct CreateMultipartUpload {
    attributes: ObjectAttributes,
    tags: Tags,
    checksum: Option<(Algorithm, ChecksumType)>,
}

impl Operation for CreateMultipartUpload {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("uploads")],
        members: &[
            groups::ATTRIBUTES,
            groups::OBJECT_GRANTS,
            groups::ENCRYPTION,
            groups::CUSTOMER_KEY,
            groups::LOCK,
            groups::BLOCK_SIZE,
            groups::COMMON,
            &[
                Member::header("x-amz-checksum-algorithm")
                    .partly(groups::ALGORITHMS_TEXT)
                    .listed(groups::ALGORITHMS),
                Member::header("x-amz-checksum-type").listed(groups::CHECKSUM_TYPE),
            ],
        ],
        ..Declaration::new("CreateMultipartUpload", Verb::Post, Resource::Object)
    };
    const ACTION: Action = Action("s3:PutObject");

    fn parse(request: &Request) -> S3Result<Self> {
        RequestedAcl::parse(&request.headers)?;
        let block_size = parse_block_size(&request.headers)?;
        let lock = parse_lock_headers(&request.headers, request.caller.facts().time)?;
        Ok(Self {
            attributes: ObjectAttributes { block_size, lock, ..parse_attributes(&request.headers)? },
            tags: parse_tag_header(&request.headers)?.unwrap_or_default(),
            checksum: parse_upload_checksum(&request.headers)?,
        })
    }

    fn permissions(&self, request: &Request) -> Permissions {
        Permission::of_upload(request)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let (bucket, key) = (request.bucket()?.to_string(), request.key()?.to_string());
        check_storage_class(gateway, self.attributes.storage_class.as_deref()).await?;
        // What the gateway knows of the bucket's ownership is the present state after this call.
        gateway.metadata.get_bucket(BucketRef { bucket: bucket.clone() }).await?;
        let access = of_new_object(gateway, &request).await?;
        let upload = UploadId(gateway.env.uuid_v7());
        let create = CreateUpload {
            target: UploadRef { bucket: bucket.clone(), key: key.clone(), upload },
            attributes: ObjectAttributes { access, ..self.attributes },
            tags: self.tags,
            checksum: self.checksum.map(|(algorithm, kind)| (algorithm.into(), kind.into())),
        };
        let made = gateway.metadata.create_upload(create).await?;
        let mut answer = response::xml("InitiateMultipartUploadResult", |xml| {
            xml.text("Bucket", &bucket);
            xml.text("Key", &key);
            xml.text("UploadId", &show_upload_id(upload));
        });
        if let Some((algorithm, kind)) = self.checksum {
            let name = HeaderName::from_static("x-amz-checksum-algorithm");
            response::set(&mut answer, name, algorithm.name());
            response::set(&mut answer, HeaderName::from_static("x-amz-checksum-type"), kind.name());
        }
        set_abort(&mut answer, gateway, &made);
        Ok(answer)
    }
}

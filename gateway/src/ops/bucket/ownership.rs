//! GetBucketOwnershipControls, PutBucketOwnershipControls, DeleteBucketOwnershipControls.

use cairn_policy::acl::Acl;
use cairn_protocol::metadata::{BucketRef, ConfigurationKind};
use http::StatusCode;

use super::configuration::put;
use crate::access::Authorised;
use crate::access::documents::{Document, Ownership};
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::xml::Element;

const KIND: ConfigurationKind = ConfigurationKind::OwnershipControls;

/// `GET /bucket?ownershipControls`.
#[derive(Debug)]
pub(super) struct GetBucketOwnershipControls;

impl Operation for GetBucketOwnershipControls {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("ownershipControls")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetBucketOwnershipControls", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetBucketOwnershipControls");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let bucket = request.bucket()?.to_string();
        let found = gateway.metadata.get_bucket_configurations(BucketRef { bucket: bucket.clone() }).await?;
        let document = found.configurations.iter().find(|found| found.kind == KIND).ok_or_else(|| {
            S3Error::new(ErrorCode::OwnershipControlsNotFoundError).detail("BucketName", bucket)
        })?;
        let ownership =
            Ownership::read(&document.document).map_err(|error| S3Error::internal(error.to_string()))?;
        Ok(response::xml("OwnershipControls", |xml| {
            xml.element("Rule", |xml| xml.text("ObjectOwnership", ownership.name()));
        }))
    }
}

/// `PUT /bucket?ownershipControls`.
#[derive(Debug)]
pub(super) struct PutBucketOwnershipControls;

impl Operation for PutBucketOwnershipControls {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("ownershipControls")],
        body: Body::Document("OwnershipControls"),
        members: &[groups::BUCKET, &[Member::element("OwnershipControls/Rule/ObjectOwnership")]],
        ..Declaration::new("PutBucketOwnershipControls", Verb::Put, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutBucketOwnershipControls");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let ownership = parse(&body.document(&request, "OwnershipControls").await?)?;
        let bucket = gateway.bucket().await?;
        let private = Acl::private(&bucket.info.owner.canonical_id);
        // An ACL that grants something to others would be forgotten without a word.
        let is_private = bucket.rules().is_some_and(|rules| rules.acl == private);
        if ownership == Ownership::BucketOwnerEnforced && !is_private {
            return Err(S3Error::new(ErrorCode::InvalidBucketAclWithObjectOwnership));
        }
        put(gateway, &request, KIND, Some(ownership.write())).await?;
        Ok(response::empty(StatusCode::OK))
    }
}

/// Reads the one rule.
fn parse(document: &Element) -> S3Result<Ownership> {
    let malformed = || S3Error::new(ErrorCode::MalformedXML);
    let name = document.required("Rule")?.required("ObjectOwnership")?.trimmed()?;
    Ownership::parse(name).ok_or_else(malformed)
}

/// `DELETE /bucket?ownershipControls`.
#[derive(Debug)]
pub(super) struct DeleteBucketOwnershipControls;

impl Operation for DeleteBucketOwnershipControls {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("ownershipControls")],
        members: &[groups::BUCKET],
        ..Declaration::new("DeleteBucketOwnershipControls", Verb::Delete, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutBucketOwnershipControls");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        put(gateway, &request, KIND, None).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    #[test]
    fn a_document_has_one_rule_with_a_setting_of_s3() {
        let read = |inner: &str| {
            let text = format!("<OwnershipControls>{inner}</OwnershipControls>");
            parse(&xml::parse(text.as_bytes(), "OwnershipControls").unwrap())
        };
        let rule = |name: &str| format!("<Rule><ObjectOwnership>{name}</ObjectOwnership></Rule>");
        for ownership in Ownership::ALL {
            assert_eq!(read(&rule(ownership.name())).unwrap(), ownership);
        }
        let two = rule("ObjectWriter").repeat(2);
        for wrong in ["", "<Rule/>", &rule("Everyone"), &two] {
            assert_eq!(read(wrong).unwrap_err().code(), ErrorCode::MalformedXML, "{wrong}");
        }
    }
}

//! CreateBucket.

use cairn_protocol::metadata::{self, MetadataError};
use http::{StatusCode, header};

use crate::caller::Action;
use crate::declaration::judge::Listed;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::ops::{Operation, acl};
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::BucketName;
use crate::xml::Element;

/// `PUT /bucket`.
#[derive(Debug)]
pub(crate) struct CreateBucket {
    bucket: BucketName,
}

impl Operation for CreateBucket {
    const DECLARATION: &'static Declaration = &Declaration {
        body: Body::Document("CreateBucketConfiguration"),
        members: &[
            groups::BUCKET_GRANTS,
            &[
                Member::header("x-amz-bucket-object-lock-enabled")
                    .partly("`false`")
                    .listed(Listed::new(&["false"], &["true"]).any_case()),
                Member::header("x-amz-object-ownership")
                    .partly("`BucketOwnerEnforced`, which is so anyway")
                    .listed(Listed::new(&["BucketOwnerEnforced"], &["BucketOwnerPreferred", "ObjectWriter"])),
                Member::header("x-amz-bucket-namespace")
                    .partly("`global`")
                    .listed(Listed::new(&["global"], &["account-regional"])),
                Member::element("CreateBucketConfiguration/LocationConstraint")
                    .partly("the gateway's region"),
                Member::element("CreateBucketConfiguration/Location")
                    .missing("Directory buckets are not implemented."),
                Member::element("CreateBucketConfiguration/Bucket")
                    .missing("Directory buckets are not implemented."),
                Member::element("CreateBucketConfiguration/Tags")
                    .missing("Tags of buckets are not implemented."),
            ],
        ],
        ..Declaration::new("CreateBucket", Verb::Put, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:CreateBucket");

    fn parse(request: &Request) -> S3Result<Self> {
        acl::check_one_way(&request.headers)?;
        Ok(Self { bucket: BucketName::parse_new(request.bucket()?.as_str())? })
    }

    async fn run(self, gateway: &Gateway, request: Request, body: RequestBody) -> S3Result<Response> {
        let document = body.optional_document(&request, "CreateBucketConfiguration").await?;
        let constraint = document.as_ref().map(location_constraint).transpose()?.flatten();
        check_constraint(constraint, &gateway.config.region)?;
        let bucket = self.bucket.to_string();
        let region = gateway.config.region.clone();
        // AWS, "List of error codes", BucketAlreadyOwnedByYou: us-east-1, the oldest region, answers 200. All other
        // regions answer with the error.
        let lenient = region == "us-east-1";
        let create = metadata::CreateBucket {
            mutation: gateway.mutation(),
            ..metadata::CreateBucket::new(bucket, region)
        };
        match gateway.metadata.create_bucket(create).await {
            Err(MetadataError::BucketExists { .. }) if lenient => {}
            made => made.map(drop)?,
        }
        let mut answer = response::empty(StatusCode::OK);
        response::set(&mut answer, header::LOCATION, format!("/{}", self.bucket));
        Ok(answer)
    }
}

fn location_constraint(document: &Element) -> S3Result<Option<&str>> {
    let constraint = document.optional("LocationConstraint")?.map(Element::trimmed).transpose()?;
    Ok(constraint.filter(|constraint| !constraint.is_empty()))
}

/// Checks the location constraint: outside of us-east-1 a client must name the region.
fn check_constraint(constraint: Option<&str>, region: &str) -> S3Result<()> {
    match constraint {
        None if region == "us-east-1" => Ok(()),
        None => Err(S3Error::new(ErrorCode::IllegalLocationConstraintException)),
        // The old name of eu-west-1.
        Some("EU") if region == "eu-west-1" => Ok(()),
        Some(constraint) if constraint == region => Ok(()),
        Some(constraint) => {
            Err(S3Error::new(ErrorCode::InvalidLocationConstraint).detail("LocationConstraint", constraint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse;

    #[test]
    fn a_bucket_is_created_in_the_region_of_the_endpoint() {
        assert!(check_constraint(None, "us-east-1").is_ok());
        assert!(check_constraint(Some("eu-central-1"), "eu-central-1").is_ok());
        assert!(check_constraint(Some("EU"), "eu-west-1").is_ok());
        let code = |constraint, region| check_constraint(constraint, region).unwrap_err().code();
        assert_eq!(code(None, "eu-west-1"), ErrorCode::IllegalLocationConstraintException);
        assert_eq!(code(Some("mars"), "us-east-1"), ErrorCode::InvalidLocationConstraint);
    }

    #[test]
    fn other_elements_of_the_document_are_not_ignored() {
        let read = |inner: &str| {
            let document = format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>");
            let root = parse(document.as_bytes(), "CreateBucketConfiguration").unwrap();
            CreateBucket::DECLARATION.check_document(&root)?;
            location_constraint(&root).map(|constraint| constraint.map(str::to_owned))
        };
        assert_eq!(
            read("<LocationConstraint>eu-west-1</LocationConstraint>").unwrap().as_deref(),
            Some("eu-west-1")
        );
        assert_eq!(read("<LocationConstraint/>").unwrap(), None);
        assert_eq!(read("<Tags/>").unwrap(), None);
        assert_eq!(read("<Tags><Tag/></Tags>").unwrap_err().code(), ErrorCode::NotImplemented);
        assert_eq!(
            read("<Location><Name>x</Name></Location>").unwrap_err().code(),
            ErrorCode::NotImplemented
        );
        assert_eq!(read("<Colour>red</Colour>").unwrap_err().code(), ErrorCode::MalformedXML);
    }
}

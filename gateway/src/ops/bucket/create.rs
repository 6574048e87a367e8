//! CreateBucket.

use cairn_policy::acl::{Acl, Canned};
use cairn_protocol::metadata::{self, BucketRef, ConfigurationKind, MetadataError, NewConfiguration, Tags};
use http::{HeaderValue, StatusCode, header};

use super::tagging;
use crate::access::documents::{Document, Ownership};
use crate::access::{LOCATION_CONSTRAINT, Pending, Permission, Permissions};
use crate::declaration::judge::Listed;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::DeferredOperation;
use crate::ops::acl::{RequestedAcl, check_grantees};
use crate::request::{Head, Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{BucketName, parse_new_bucket_tags};
use crate::xml::Element;

/// The header that gives a new bucket Object Lock.
const OBJECT_LOCK_HEADER: &str = "x-amz-bucket-object-lock-enabled";

/// `PUT /bucket`.
#[derive(Debug)]
pub(crate) struct CreateBucket {
    bucket: BucketName,
    object_lock: bool,
    ownership: Ownership,
    acl: Option<RequestedAcl>,
}

impl DeferredOperation for CreateBucket {
    const DECLARATION: &'static Declaration = &Declaration {
        body: Body::Document("CreateBucketConfiguration"),
        members: &[
            groups::BUCKET_GRANTS,
            &[
                Member::header(OBJECT_LOCK_HEADER).listed(groups::BOOLEAN),
                Member::header("x-amz-object-ownership").listed(Listed::new(
                    &["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"],
                    &[],
                )),
                Member::header("x-amz-bucket-namespace")
                    .partly("`global`")
                    .listed(Listed::new(&["global"], &["account-regional"])),
                Member::element("CreateBucketConfiguration/LocationConstraint")
                    .partly("the gateway's region"),
                Member::element("CreateBucketConfiguration/Location")
                    .missing("Directory buckets are not implemented."),
                Member::element("CreateBucketConfiguration/Bucket")
                    .missing("Directory buckets are not implemented."),
                Member::element("CreateBucketConfiguration/Tags/Tag/Key"),
                Member::element("CreateBucketConfiguration/Tags/Tag/Value"),
            ],
        ],
        ..Declaration::new("CreateBucket", Verb::Put, Resource::Bucket)
    };
    fn parse(request: &Request) -> S3Result<Self> {
        let ownership = request.header("x-amz-object-ownership")?.and_then(Ownership::parse);
        let acl = RequestedAcl::parse(&request.headers)?;
        let bucket = BucketName::parse_new(request.bucket()?.as_str())?;
        let object_lock = request.header(OBJECT_LOCK_HEADER)?;
        let object_lock = object_lock.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(Self { bucket, object_lock, ownership: of_new_bucket(ownership, acl.as_ref())?, acl })
    }

    async fn run(self, pending: Pending, request: Request, body: RequestBody) -> S3Result<Response> {
        let document = body.optional_document(&request, "CreateBucketConfiguration").await?;
        let constraint = document.as_ref().map(location_constraint).transpose()?.flatten();
        let tags = document.as_ref().map(new_tags).transpose()?.flatten().unwrap_or_default();
        // Policies ask for what the document says.
        let request = with_constraint(request, constraint)?;
        let gateway = &pending.about(&request).with(self.permissions(&tags), &tags).await?;
        check_constraint(constraint, &gateway.config.region)?;
        let mut configurations = NewConfiguration::of_new_bucket();
        if !tags.is_empty() {
            let document = tagging::to_document(&tags)?;
            configurations.push(NewConfiguration { kind: ConfigurationKind::Tagging, document });
        }
        let bucket = self.bucket.to_string();
        let region = gateway.config.region.clone();
        // AWS, "List of error codes", BucketAlreadyOwnedByYou: us-east-1, the oldest region, answers 200. All other
        // regions answer with the error.
        let lenient = region == "us-east-1";
        let owner = request.caller.owner();
        for configuration in &mut configurations {
            if configuration.kind == ConfigurationKind::OwnershipControls {
                configuration.document = self.ownership.write();
            }
        }
        if let Some(acl) = self.acl.map(|acl| acl.acl(&owner, &owner))
            && acl != Acl::private(&owner.canonical_id)
        {
            check_grantees(gateway, &acl, &[&owner]).await?;
            configurations.push(NewConfiguration { kind: ConfigurationKind::Acl, document: acl.write() });
        }
        let create = metadata::CreateBucket {
            configurations,
            mutation: gateway.mutation(),
            object_lock: self.object_lock,
            owner: owner.clone(),
            ..metadata::CreateBucket::new(bucket.clone(), region)
        };
        match gateway.metadata.create_bucket(create).await {
            Err(MetadataError::BucketExists { .. }) => {
                let there = gateway.metadata.get_bucket(BucketRef { bucket: bucket.clone() }).await?;
                if there.owner.id != owner.id {
                    return Err(S3Error::new(ErrorCode::BucketAlreadyExists).detail("BucketName", bucket));
                }
                if !lenient {
                    return Err(S3Error::new(ErrorCode::BucketAlreadyOwnedByYou).detail("BucketName", bucket));
                }
            }
            made => made.map(drop)?,
        }
        let mut answer = response::empty(StatusCode::OK);
        response::set(&mut answer, header::LOCATION, format!("/{}", self.bucket));
        Ok(answer)
    }
}

impl CreateBucket {
    fn permissions(&self, tags: &Tags) -> Permissions {
        let on_bucket = |action| Permission::on_new_bucket(action, self.bucket.as_str());
        let mut needed = Permissions::one(on_bucket("s3:CreateBucket"));
        if self.object_lock {
            needed = needed.and(on_bucket("s3:PutBucketObjectLockConfiguration"));
            needed = needed.and(on_bucket("s3:PutBucketVersioning"));
        }
        if tags.is_empty() { needed } else { needed.and(on_bucket("s3:TagResource")) }
    }
}

/// The request, with the location constraint of its document as a header.
fn with_constraint(request: Request, constraint: Option<&str>) -> S3Result<Request> {
    let Some(constraint) = constraint else { return Ok(request) };
    let value = HeaderValue::from_str(constraint).map_err(|_| invalid_constraint(constraint))?;
    let mut head = Head::clone(&request);
    head.headers.insert(LOCATION_CONSTRAINT, value);
    Ok(head.into())
}

fn invalid_constraint(constraint: &str) -> S3Error {
    S3Error::new(ErrorCode::InvalidLocationConstraint).detail("LocationConstraint", constraint)
}

/// The tags that the document gives the bucket; `None` if there are none.
fn new_tags(document: &Element) -> S3Result<Option<Tags>> {
    let Some(tags) = document.optional("Tags")? else { return Ok(None) };
    Ok(Some(parse_new_bucket_tags(tags)?).filter(|tags| !tags.is_empty()))
}

/// The setting of ownership of a new bucket. A canned ACL `private` asks for a bucket in which ACLs count, as it does at AWS: clients
/// that send it send ACLs with their objects too.
fn of_new_bucket(ownership: Option<Ownership>, acl: Option<&RequestedAcl>) -> S3Result<Ownership> {
    let is_private = acl.is_none_or(|acl| *acl == RequestedAcl::Canned(Canned::Private));
    let setting = match ownership {
        Some(ownership) => ownership,
        None if acl.is_some() && is_private => Ownership::BucketOwnerPreferred,
        None => Ownership::BucketOwnerEnforced,
    };
    let keeps_owner = is_private || acl == Some(&RequestedAcl::Canned(Canned::BucketOwnerFullControl));
    if setting == Ownership::BucketOwnerEnforced && !keeps_owner {
        return Err(S3Error::new(ErrorCode::InvalidBucketAclWithObjectOwnership));
    }
    // A new bucket blocks public ACLs.
    if acl.is_some_and(RequestedAcl::is_public) {
        return Err(S3Error::new(ErrorCode::InvalidBucketAclWithBlockPublicAccessError));
    }
    Ok(setting)
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
        Some(constraint) => Err(invalid_constraint(constraint)),
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
    fn the_ownership_of_a_new_bucket_follows_its_acl() {
        use Ownership::{BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter};
        let canned = |canned| Some(RequestedAcl::Canned(canned));
        for (ownership, acl, expected) in [
            (None, None, Ok(BucketOwnerEnforced)),
            (None, canned(Canned::Private), Ok(BucketOwnerPreferred)),
            (Some(BucketOwnerEnforced), canned(Canned::Private), Ok(BucketOwnerEnforced)),
            (
                Some(ObjectWriter),
                canned(Canned::AuthenticatedRead),
                Err(ErrorCode::InvalidBucketAclWithBlockPublicAccessError),
            ),
            (Some(ObjectWriter), canned(Canned::LogDeliveryWrite), Ok(ObjectWriter)),
            (None, canned(Canned::PublicRead), Err(ErrorCode::InvalidBucketAclWithObjectOwnership)),
            (None, canned(Canned::BucketOwnerFullControl), Ok(BucketOwnerEnforced)),
        ] {
            let made = of_new_bucket(ownership, acl.as_ref()).map_err(|error| error.code());
            assert_eq!(made, expected, "{ownership:?} {acl:?}");
        }
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
        assert_eq!(read("<Tags><Label/></Tags>").unwrap_err().code(), ErrorCode::MalformedXML);
        assert_eq!(
            read("<Location><Name>x</Name></Location>").unwrap_err().code(),
            ErrorCode::NotImplemented
        );
        assert_eq!(read("<Colour>red</Colour>").unwrap_err().code(), ErrorCode::MalformedXML);
    }
}

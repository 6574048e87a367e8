//! GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration, DeleteBucketLifecycle. The older operations GetBucketLifecycle and
//! PutBucketLifecycle are the same requests with the prefix in the rule.

use cairn_lifecycle::{InvalidRules, MinimumSize, RuleSet};
use cairn_protocol::metadata::{BucketRef, ConfigurationKind, MetadataError, StorageClassRef};
use http::{HeaderName, StatusCode};

use super::configuration::put;
use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::judge::Listed;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::ops::lock::require_document_digest;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::{ARCHIVE_CLASSES, is_class_name, is_own_class, parse_lifecycle, write_lifecycle};

const MINIMUM_SIZE: &str = "x-amz-transition-default-minimum-object-size";

/// The values of the header.
const MINIMUM_SIZES: Listed = Listed::new(&["all_storage_classes_128K", "varies_by_storage_class"], &[]);

fn set_minimum_size(answer: &mut Response, minimum_size: MinimumSize) {
    response::set(answer, HeaderName::from_static(MINIMUM_SIZE), minimum_size.name());
}

/// `GET /bucket?lifecycle`.
#[derive(Debug)]
pub(super) struct GetBucketLifecycleConfiguration;

impl Operation for GetBucketLifecycleConfiguration {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("lifecycle")],
        members: &[groups::BUCKET],
        ..Declaration::new("GetBucketLifecycleConfiguration", Verb::Get, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:GetLifecycleConfiguration");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        let bucket = request.bucket()?.to_string();
        let found = gateway.metadata.get_bucket_configurations(BucketRef { bucket }).await?;
        let mut kinds = found.configurations.into_iter();
        let Some(rules) = kinds.find(|found| found.kind == ConfigurationKind::Lifecycle) else {
            return Err(S3Error::new(ErrorCode::NoSuchLifecycleConfiguration)
                .detail("BucketName", request.bucket()?.as_str()));
        };
        let set: RuleSet = serde_json::from_str(&rules.document).map_err(S3Error::internal)?;
        let mut answer = response::xml("LifecycleConfiguration", |xml| write_lifecycle(xml, &set));
        set_minimum_size(&mut answer, set.minimum_size);
        Ok(answer)
    }
}

/// `PUT /bucket?lifecycle`.
#[derive(Debug)]
pub(super) struct PutBucketLifecycleConfiguration {
    minimum_size: MinimumSize,
}

impl Operation for PutBucketLifecycleConfiguration {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("lifecycle")],
        body: Body::Document("LifecycleConfiguration"),
        members: &[
            groups::BUCKET,
            &[
                Member::header(MINIMUM_SIZE).listed(MINIMUM_SIZES),
                Member::element("LifecycleConfiguration/Rule/ID"),
                Member::element("LifecycleConfiguration/Rule/Prefix"),
                Member::element("LifecycleConfiguration/Rule/Status"),
                Member::element("LifecycleConfiguration/Rule/Filter/Prefix"),
                Member::element("LifecycleConfiguration/Rule/Filter/Tag/Key"),
                Member::element("LifecycleConfiguration/Rule/Filter/Tag/Value"),
                Member::element("LifecycleConfiguration/Rule/Filter/ObjectSizeGreaterThan"),
                Member::element("LifecycleConfiguration/Rule/Filter/ObjectSizeLessThan"),
                Member::element("LifecycleConfiguration/Rule/Filter/And/Prefix"),
                Member::element("LifecycleConfiguration/Rule/Filter/And/Tag/Key"),
                Member::element("LifecycleConfiguration/Rule/Filter/And/Tag/Value"),
                Member::element("LifecycleConfiguration/Rule/Filter/And/ObjectSizeGreaterThan"),
                Member::element("LifecycleConfiguration/Rule/Filter/And/ObjectSizeLessThan"),
                Member::element("LifecycleConfiguration/Rule/Expiration/Date"),
                Member::element("LifecycleConfiguration/Rule/Expiration/Days"),
                Member::element("LifecycleConfiguration/Rule/Expiration/ExpiredObjectDeleteMarker"),
                Member::element("LifecycleConfiguration/Rule/Transition/Date"),
                Member::element("LifecycleConfiguration/Rule/Transition/Days"),
                Member::element("LifecycleConfiguration/Rule/Transition/StorageClass").partly(CLASSES),
                Member::element("LifecycleConfiguration/Rule/NoncurrentVersionExpiration/NoncurrentDays"),
                Member::element(
                    "LifecycleConfiguration/Rule/NoncurrentVersionExpiration/NewerNoncurrentVersions",
                ),
                Member::element("LifecycleConfiguration/Rule/NoncurrentVersionTransition/NoncurrentDays"),
                Member::element(
                    "LifecycleConfiguration/Rule/NoncurrentVersionTransition/NewerNoncurrentVersions",
                ),
                Member::element("LifecycleConfiguration/Rule/NoncurrentVersionTransition/StorageClass")
                    .partly(CLASSES),
                Member::element(
                    "LifecycleConfiguration/Rule/AbortIncompleteMultipartUpload/DaysAfterInitiation",
                ),
            ],
        ],
        ..Declaration::new("PutBucketLifecycleConfiguration", Verb::Put, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutLifecycleConfiguration");

    fn parse(request: &Request) -> S3Result<Self> {
        require_document_digest(request)?;
        // The declaration refuses other values.
        let name = request.header(MINIMUM_SIZE)?;
        let minimum_size = MinimumSize::ALL.into_iter().find(|known| Some(known.name()) == name);
        Ok(Self { minimum_size: minimum_size.unwrap_or_default() })
    }

    async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
        let root = body.document(&request, "LifecycleConfiguration").await?;
        let set = parse_lifecycle(&root, self.minimum_size, || gateway.env.uuid_v4().to_string())?;
        cairn_lifecycle::check(&set.rules).map_err(refused)?;
        check_classes(gateway, &set).await?;
        let document = serde_json::to_string(&set).map_err(S3Error::internal)?;
        put(gateway, &request, ConfigurationKind::Lifecycle, Some(document)).await?;
        let mut answer = response::empty(StatusCode::OK);
        set_minimum_size(&mut answer, self.minimum_size);
        Ok(answer)
    }
}

const CLASSES: &str = "AWS's classes for immediate access, and those of the cluster's configuration";

fn refused(invalid: InvalidRules) -> S3Error {
    match invalid {
        InvalidRules::Malformed => S3Error::new(ErrorCode::MalformedXML),
        InvalidRules::Argument(words) => S3Error::with_message(ErrorCode::InvalidArgument, words),
        InvalidRules::Request(words) => S3Error::invalid_request(words),
    }
}

/// Refuses rules whose storage classes no object can have here.
async fn check_classes(gateway: &Authorised, set: &RuleSet) -> S3Result<()> {
    let mut classes: Vec<&str> = set
        .rules
        .iter()
        .flat_map(|rule| {
            let noncurrent = rule.noncurrent_transitions.iter().map(|transition| transition.class.as_str());
            rule.transitions.iter().map(|transition| transition.class.as_str()).chain(noncurrent)
        })
        .filter(|class| is_own_class(class))
        .collect();
    classes.sort_unstable();
    classes.dedup();
    for class in classes {
        if !is_class_name(class) {
            return Err(S3Error::new(ErrorCode::MalformedXML));
        }
        let request = StorageClassRef { storage_class: class.to_owned() };
        match gateway.metadata.check_storage_class(request).await {
            Ok(()) => {}
            Err(MetadataError::UnknownStorageClass { .. }) => return Err(unknown_class(class)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// AWS refuses a class that it does not have as malformed. Its archive classes are refused as with PutObject.
fn unknown_class(class: &str) -> S3Error {
    if !ARCHIVE_CLASSES.contains(&class) {
        return S3Error::new(ErrorCode::MalformedXML);
    }
    let words = format!(
        "Objects cannot get the storage class {class}: they would have to be restored before they are read, which is not \
         implemented. The cluster's configuration can define a class of this name."
    );
    S3Error::with_message(ErrorCode::InvalidStorageClass, words).detail("StorageClassRequested", class)
}

/// `DELETE /bucket?lifecycle`.
#[derive(Debug)]
pub(super) struct DeleteBucketLifecycle;

impl Operation for DeleteBucketLifecycle {
    const DECLARATION: &'static Declaration = &Declaration {
        when: &[When::Query("lifecycle")],
        members: &[groups::BUCKET],
        ..Declaration::new("DeleteBucketLifecycle", Verb::Delete, Resource::Bucket)
    };
    const ACTION: Action = Action("s3:PutLifecycleConfiguration");

    fn parse(_: &Request) -> S3Result<Self> {
        Ok(Self)
    }

    async fn run(self, gateway: &Authorised, request: Request, _: RequestBody) -> S3Result<Response> {
        put(gateway, &request, ConfigurationKind::Lifecycle, None).await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}

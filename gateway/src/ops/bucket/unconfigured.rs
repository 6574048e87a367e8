//! Configurations that no bucket can have yet. A read gets the response that S3 sends when nothing is configured, which
//! is true here. A delete succeeds, as in S3, because there is nothing to delete. Setting one is answered with
//! `NotImplemented`, except for settings that are already in force ([`super::settings`]).

use bytes::Bytes;
use cairn_protocol::metadata::BucketRef;
use http::StatusCode;

use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::When::{Query, With};
use crate::declaration::{Declaration, Member, Resource, Verb, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::BucketName;
use crate::xml::{NAMESPACE, XmlWriter};

/// The response: a document, or 204 without one.
type Answer = S3Result<Option<Bytes>>;

fn shown(document: Bytes) -> Answer {
    Ok(Some(document))
}

/// A document with this name that is empty or holds one text. It means "not configured".
fn document(root: &str, text: Option<(&str, &str)>) -> Answer {
    shown(XmlWriter::document(root, Some(NAMESPACE), |xml| {
        if let Some((name, text)) = text {
            xml.text(name, text);
        }
    }))
}

fn missing(code: ErrorCode) -> Answer {
    Err(S3Error::new(code))
}

/// An empty page of configurations.
fn no_configurations(root: &str) -> Answer {
    document(root, Some(("IsTruncated", "false")))
}

/// The error of S3 for a configuration id that does not exist, on reads and deletes.
fn no_such_configuration() -> Answer {
    missing(ErrorCode::NoSuchConfiguration)
}

/// S3 answers 204 when a client deletes a configuration that does not exist.
fn nothing_to_delete() -> Answer {
    Ok(None)
}

/// The query parameter of operations on one configuration of several.
const ID: &[Member] = &[Member::query("id")];

/// The query parameters of operations that list configurations.
const PAGE: &[Member] = &[Member::query("continuation-token").moot("there is never a second page")];

macro_rules! unconfigured {
    ($($name:ident $method:ident $action:literal [$($when:expr),*] [$($members:expr),*] $answer:expr;)*) => { $(
        #[doc = concat!(stringify!($name), ".")]
        #[derive(Debug)]
        pub(super) struct $name {
            bucket: BucketName,
        }

        impl Operation for $name {
            const DECLARATION: &'static Declaration = &Declaration {
                when: &[$($when),*],
                members: &[groups::BUCKET, $($members),*],
                note: "nothing is configured",
                ..Declaration::new(stringify!($name), Verb::$method, Resource::Bucket)
            };
            const ACTION: Action = Action($action);

            fn parse(request: &Request) -> S3Result<Self> {
                require_id(request)?;
                Ok(Self { bucket: request.bucket()?.clone() })
            }

            async fn run(self, gateway: &Authorised, _: Request, _: RequestBody) -> S3Result<Response> {
                let bucket = self.bucket.to_string();
                gateway.metadata.get_bucket(BucketRef { bucket }).await?;
                match $answer {
                    Ok(Some(document)) => Ok(response::document(document)),
                    Ok(None) => Ok(response::empty(StatusCode::NO_CONTENT)),
                    Err(error) => Err(error.detail("BucketName", self.bucket.as_str())),
                }
            }
        }
    )* };
}

unconfigured! {
    GetBucketAbac Get "s3:GetBucketAbac" [Query("abac")] [] document("AbacStatus", Some(("Status", "Disabled")));
    GetBucketAccelerateConfiguration Get "s3:GetAccelerateConfiguration" [Query("accelerate")] [&[groups::PAYER]]
        document("AccelerateConfiguration", None);
    GetBucketCors Get "s3:GetBucketCORS" [Query("cors")] [] missing(ErrorCode::NoSuchCORSConfiguration);
    GetBucketEncryption Get "s3:GetEncryptionConfiguration" [Query("encryption")] []
        missing(ErrorCode::ServerSideEncryptionConfigurationNotFoundError);
    GetBucketLogging Get "s3:GetBucketLogging" [Query("logging")] [] document("BucketLoggingStatus", None);
    GetBucketNotificationConfiguration Get "s3:GetBucketNotification" [Query("notification")] []
        document("NotificationConfiguration", None);
    GetBucketReplication Get "s3:GetReplicationConfiguration" [Query("replication")] []
        missing(ErrorCode::ReplicationConfigurationNotFoundError);
    GetBucketRequestPayment Get "s3:GetBucketRequestPayment" [Query("requestPayment")] []
        document("RequestPaymentConfiguration", Some(("Payer", "BucketOwner")));
    GetBucketWebsite Get "s3:GetBucketWebsite" [Query("website")] []
        missing(ErrorCode::NoSuchWebsiteConfiguration);

    DeleteBucketCors Delete "s3:PutBucketCORS" [Query("cors")] [] nothing_to_delete();
    DeleteBucketEncryption Delete "s3:PutEncryptionConfiguration" [Query("encryption")] [] nothing_to_delete();
    DeleteBucketReplication Delete "s3:PutReplicationConfiguration" [Query("replication")] [] nothing_to_delete();
    DeleteBucketWebsite Delete "s3:DeleteBucketWebsite" [Query("website")] [] nothing_to_delete();

    ListBucketAnalyticsConfigurations Get "s3:GetAnalyticsConfiguration" [Query("analytics")] [PAGE]
        no_configurations("ListBucketAnalyticsConfigurationResult");
    GetBucketAnalyticsConfiguration Get "s3:GetAnalyticsConfiguration" [Query("analytics"), With("id")] []
        no_such_configuration();
    DeleteBucketAnalyticsConfiguration Delete "s3:PutAnalyticsConfiguration" [Query("analytics")] [ID]
        no_such_configuration();
    ListBucketIntelligentTieringConfigurations Get "s3:GetIntelligentTieringConfiguration"
        [Query("intelligent-tiering")] [PAGE]
        no_configurations("ListBucketIntelligentTieringConfigurationsOutput");
    GetBucketIntelligentTieringConfiguration Get "s3:GetIntelligentTieringConfiguration"
        [Query("intelligent-tiering"), With("id")] [] no_such_configuration();
    DeleteBucketIntelligentTieringConfiguration Delete "s3:PutIntelligentTieringConfiguration"
        [Query("intelligent-tiering")] [ID] no_such_configuration();
    ListBucketInventoryConfigurations Get "s3:GetInventoryConfiguration" [Query("inventory")] [PAGE]
        no_configurations("ListInventoryConfigurationsResult");
    GetBucketInventoryConfiguration Get "s3:GetInventoryConfiguration" [Query("inventory"), With("id")] []
        no_such_configuration();
    DeleteBucketInventoryConfiguration Delete "s3:PutInventoryConfiguration" [Query("inventory")] [ID]
        no_such_configuration();
    ListBucketMetricsConfigurations Get "s3:GetMetricsConfiguration" [Query("metrics")] [PAGE]
        no_configurations("ListMetricsConfigurationsResult");
    GetBucketMetricsConfiguration Get "s3:GetMetricsConfiguration" [Query("metrics"), With("id")] []
        no_such_configuration();
    DeleteBucketMetricsConfiguration Delete "s3:PutMetricsConfiguration" [Query("metrics")] [ID]
        no_such_configuration();
}

/// Configurations of which a bucket can have several are addressed by an id.
fn require_id(request: &Request) -> S3Result<()> {
    if request.declaration.parameter("id").is_some() && !request.query.has("id") {
        return Err(S3Error::invalid_argument("id", "", "Missing required parameter for this request: 'id'"));
    }
    Ok(())
}

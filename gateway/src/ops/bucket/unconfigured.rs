//! Reads of configurations that no bucket can have yet: the answers that S3 gives where nothing is
//! configured, which are the truth. Setting any of them is answered with `NotImplemented`.

use bytes::Bytes;
use cairn_protocol::metadata::BucketRef;

use crate::caller::Action;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::ops::Operation;
use crate::ops::object::write_acl;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::types::BucketName;
use crate::xml::{NAMESPACE, XmlWriter};

/// An empty document of this name: "not configured".
fn empty(root: &str) -> S3Result<Bytes> {
    Ok(XmlWriter::document(root, Some(NAMESPACE), |_| {}))
}

fn missing(code: ErrorCode) -> S3Result<Bytes> {
    Err(S3Error::new(code))
}

macro_rules! unconfigured {
    ($($name:ident $action:literal $answer:expr;)*) => { $(
        #[doc = concat!(stringify!($name), ".")]
        #[derive(Debug)]
        pub(super) struct $name {
            bucket: BucketName,
        }

        impl Operation for $name {
            const NAME: &'static str = stringify!($name);
            const ACTION: Action = Action($action);

            fn parse(request: &Request) -> S3Result<Self> {
                Ok(Self { bucket: request.bucket()?.clone() })
            }

            async fn run(self, gateway: &Gateway, _: Request, _: RequestBody) -> S3Result<Response> {
                let bucket = self.bucket.to_string();
                gateway.metadata.get_bucket(BucketRef { bucket }).await?;
                let answer: S3Result<Bytes> = $answer;
                answer.map(response::document).map_err(|error| error.detail("BucketName", self.bucket.as_str()))
            }
        }
    )* };
}

unconfigured! {
    GetBucketAcl "s3:GetBucketAcl" Ok(write_acl());
    GetBucketVersioning "s3:GetBucketVersioning" empty("VersioningConfiguration");
    GetBucketPolicy "s3:GetBucketPolicy" missing(ErrorCode::NoSuchBucketPolicy);
    GetBucketPolicyStatus "s3:GetBucketPolicyStatus" missing(ErrorCode::NoSuchBucketPolicy);
    GetBucketCors "s3:GetBucketCORS" missing(ErrorCode::NoSuchCORSConfiguration);
    GetBucketLifecycle "s3:GetLifecycleConfiguration" missing(ErrorCode::NoSuchLifecycleConfiguration);
    GetBucketTagging "s3:GetBucketTagging" missing(ErrorCode::NoSuchTagSet);
    GetBucketWebsite "s3:GetBucketWebsite" missing(ErrorCode::NoSuchWebsiteConfiguration);
    GetBucketReplication "s3:GetReplicationConfiguration" missing(ErrorCode::ReplicationConfigurationNotFoundError);
    GetBucketEncryption "s3:GetEncryptionConfiguration" missing(ErrorCode::ServerSideEncryptionConfigurationNotFoundError);
    GetObjectLockConfiguration "s3:GetBucketObjectLockConfiguration" missing(ErrorCode::ObjectLockConfigurationNotFoundError);
    GetPublicAccessBlock "s3:GetBucketPublicAccessBlock" missing(ErrorCode::NoSuchPublicAccessBlockConfiguration);
    GetBucketOwnershipControls "s3:GetBucketOwnershipControls" Ok(XmlWriter::document("OwnershipControls", Some(NAMESPACE), |xml| {
        xml.element("Rule", |xml| xml.text("ObjectOwnership", "BucketOwnerEnforced"));
    }));
    GetBucketLogging "s3:GetBucketLogging" empty("BucketLoggingStatus");
    GetBucketNotification "s3:GetBucketNotification" empty("NotificationConfiguration");
    GetBucketAccelerate "s3:GetAccelerateConfiguration" empty("AccelerateConfiguration");
    GetBucketRequestPayment "s3:GetBucketRequestPayment" Ok(XmlWriter::document("RequestPaymentConfiguration", Some(NAMESPACE), |xml| {
        xml.text("Payer", "BucketOwner");
    }));
}

//! Settings that every bucket has already. A request that sets the value that is in force succeeds and changes nothing.
//! Every other value is refused with `NotImplemented`.

use cairn_protocol::metadata::BucketRef;
use http::StatusCode;

use crate::access::Authorised;
use crate::caller::Action;
use crate::declaration::{Body, Declaration, Member, Resource, Verb, When, groups};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::Operation;
use crate::request::{Request, RequestBody};
use crate::response::{self, Response};
use crate::xml::Element;

async fn require_bucket(gateway: &Authorised, request: &Request) -> S3Result<()> {
    gateway.metadata.get_bucket(BucketRef { bucket: request.bucket()?.to_string() }).await?;
    Ok(())
}

/// Checks a setting whose document holds one value: `done` is accepted, and `missing` are values of S3 that are not
/// implemented.
fn check_value(element: &Element, done: &str, missing: &[&str]) -> S3Result<()> {
    match element.trimmed()? {
        value if value == done => Ok(()),
        value if missing.contains(&value) => {
            Err(S3Error::not_implemented(format!("{} {value} is not implemented.", element.name()))
                .detail("Element", element.name()))
        }
        _ => Err(S3Error::new(ErrorCode::MalformedXML)),
    }
}

fn check_payment(document: &Element) -> S3Result<()> {
    check_value(document.required("Payer")?, "BucketOwner", &["Requester"])
}

/// Accepts the document: the declaration refuses every element that would change something.
fn check_empty(_: &Element) -> S3Result<()> {
    Ok(())
}

macro_rules! settings {
    ($($name:ident $action:literal $subresource:literal $root:literal [$($members:expr),*] $note:literal $check:expr;)*) => { $(
        #[doc = concat!("`PUT /bucket?", $subresource, "`.")]
        #[derive(Debug)]
        pub(super) struct $name;

        impl Operation for $name {
            const DECLARATION: &'static Declaration = &Declaration {
                when: &[When::Query($subresource)],
                body: Body::Document($root),
                members: &[groups::BUCKET, &[$($members),*]],
                note: $note,
                ..Declaration::new(stringify!($name), Verb::Put, Resource::Bucket)
            };
            const ACTION: Action = Action($action);

            fn parse(_: &Request) -> S3Result<Self> {
                Ok(Self)
            }

            async fn run(self, gateway: &Authorised, request: Request, body: RequestBody) -> S3Result<Response> {
                require_bucket(gateway, &request).await?;
                $check(&body.document(&request, $root).await?)?;
                Ok(response::empty(StatusCode::OK))
            }
        }
    )* };
}

settings! {
    PutBucketRequestPayment "s3:PutBucketRequestPayment" "requestPayment" "RequestPaymentConfiguration"
        [Member::element("RequestPaymentConfiguration/Payer").partly("`BucketOwner`")]
        "the bucket's owner pays, as it is" check_payment;
    PutBucketLogging "s3:PutBucketLogging" "logging" "BucketLoggingStatus"
        [Member::element("BucketLoggingStatus/LoggingEnabled").missing("Access logs are not implemented.")]
        "no access logs, as it is" check_empty;
    PutBucketNotificationConfiguration "s3:PutBucketNotification" "notification" "NotificationConfiguration"
        [
            Member::header("x-amz-skip-destination-validation").moot("there is no destination"),
            Member::element("NotificationConfiguration/TopicConfiguration").missing(NO_NOTIFICATIONS),
            Member::element("NotificationConfiguration/QueueConfiguration").missing(NO_NOTIFICATIONS),
            Member::element("NotificationConfiguration/CloudFunctionConfiguration").missing(NO_NOTIFICATIONS),
            Member::element("NotificationConfiguration/EventBridgeConfiguration").asks_when_empty(NO_NOTIFICATIONS)
        ]
        "no notifications, as it is" check_empty;
}

const NO_NOTIFICATIONS: &str = "Notifications of events are not implemented.";

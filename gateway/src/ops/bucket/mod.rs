//! Operations on buckets.

mod create;
mod delete;
mod head;
mod list;
mod list_v2;
mod list_versions;
mod listing;
mod location;
mod unconfigured;

use http::Method;

pub use create::CreateBucket;
pub use delete::DeleteBucket;
pub use head::HeadBucket;
pub use list::ListObjects;
pub use list_v2::ListObjectsV2;
pub use list_versions::ListObjectVersions;
pub use location::GetBucketLocation;

use crate::route::Resource::Bucket;
use crate::route::Route;
use crate::route::When::{Query, QueryIs};

/// What both versions of ListObjects understand. Each ignores what only the other uses, as S3 does.
const LIST_PARAMETERS: &[&str] = &[
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "marker",
    "max-keys",
    "prefix",
    "start-after",
];

const VERSIONS_PARAMETERS: &[&str] =
    &["delimiter", "encoding-type", "key-marker", "max-keys", "prefix", "version-id-marker"];

/// The routes of buckets.
pub const ROUTES: &[Route] = &[
    Route::to::<GetBucketLocation>(Method::GET, Bucket, &[Query("location")], &[]),
    Route::to::<unconfigured::GetBucketAcl>(Method::GET, Bucket, &[Query("acl")], &[]),
    Route::to::<unconfigured::GetBucketVersioning>(Method::GET, Bucket, &[Query("versioning")], &[]),
    Route::to::<unconfigured::GetBucketPolicy>(Method::GET, Bucket, &[Query("policy")], &[]),
    Route::to::<unconfigured::GetBucketPolicyStatus>(Method::GET, Bucket, &[Query("policyStatus")], &[]),
    Route::to::<unconfigured::GetBucketCors>(Method::GET, Bucket, &[Query("cors")], &[]),
    Route::to::<unconfigured::GetBucketLifecycle>(Method::GET, Bucket, &[Query("lifecycle")], &[]),
    Route::to::<unconfigured::GetBucketTagging>(Method::GET, Bucket, &[Query("tagging")], &[]),
    Route::to::<unconfigured::GetBucketWebsite>(Method::GET, Bucket, &[Query("website")], &[]),
    Route::to::<unconfigured::GetBucketReplication>(Method::GET, Bucket, &[Query("replication")], &[]),
    Route::to::<unconfigured::GetBucketEncryption>(Method::GET, Bucket, &[Query("encryption")], &[]),
    Route::to::<unconfigured::GetObjectLockConfiguration>(Method::GET, Bucket, &[Query("object-lock")], &[]),
    Route::to::<unconfigured::GetPublicAccessBlock>(Method::GET, Bucket, &[Query("publicAccessBlock")], &[]),
    Route::to::<unconfigured::GetBucketOwnershipControls>(
        Method::GET,
        Bucket,
        &[Query("ownershipControls")],
        &[],
    ),
    Route::to::<unconfigured::GetBucketLogging>(Method::GET, Bucket, &[Query("logging")], &[]),
    Route::to::<unconfigured::GetBucketNotification>(Method::GET, Bucket, &[Query("notification")], &[]),
    Route::to::<unconfigured::GetBucketAccelerate>(Method::GET, Bucket, &[Query("accelerate")], &[]),
    Route::to::<unconfigured::GetBucketRequestPayment>(Method::GET, Bucket, &[Query("requestPayment")], &[]),
    Route::to::<ListObjectVersions>(Method::GET, Bucket, &[Query("versions")], VERSIONS_PARAMETERS),
    Route::to::<ListObjectsV2>(Method::GET, Bucket, &[QueryIs("list-type", "2")], LIST_PARAMETERS),
    Route::to::<ListObjects>(Method::GET, Bucket, &[], LIST_PARAMETERS),
    Route::to::<CreateBucket>(Method::PUT, Bucket, &[], &[]),
    Route::to::<HeadBucket>(Method::HEAD, Bucket, &[], &[]),
    Route::to::<DeleteBucket>(Method::DELETE, Bucket, &[], &[]),
];

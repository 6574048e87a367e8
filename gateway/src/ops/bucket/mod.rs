//! Operations on buckets.

mod acl;
mod configuration;
mod create;
mod delete;
mod head;
mod lifecycle;
mod list;
mod list_v2;
mod list_versions;
mod listing;
mod location;
mod object_lock;
mod ownership;
mod policy;
mod principals;
mod public_access;
mod settings;
mod tagging;
mod unconfigured;
mod versioning;

pub(crate) use create::CreateBucket;
pub(crate) use delete::DeleteBucket;
pub(crate) use head::HeadBucket;
pub(crate) use list::ListObjects;
pub(crate) use list_v2::ListObjectsV2;
pub(crate) use list_versions::ListObjectVersions;
pub(crate) use listing::Owners;
pub(crate) use location::GetBucketLocation;

use crate::ops::Route;

/// The operations on buckets.
pub(crate) const ROUTES: &[Route] = &[
    Route::deferred::<CreateBucket>(),
    Route::to::<DeleteBucket>(),
    Route::to::<unconfigured::DeleteBucketAnalyticsConfiguration>(),
    Route::to::<unconfigured::DeleteBucketCors>(),
    Route::to::<unconfigured::DeleteBucketEncryption>(),
    Route::to::<unconfigured::DeleteBucketIntelligentTieringConfiguration>(),
    Route::to::<unconfigured::DeleteBucketInventoryConfiguration>(),
    Route::to::<lifecycle::DeleteBucketLifecycle>(),
    Route::to::<unconfigured::DeleteBucketMetricsConfiguration>(),
    Route::to::<policy::DeleteBucketPolicy>(),
    Route::to::<ownership::DeleteBucketOwnershipControls>(),
    Route::to::<unconfigured::DeleteBucketReplication>(),
    Route::to::<tagging::DeleteBucketTagging>(),
    Route::to::<unconfigured::DeleteBucketWebsite>(),
    Route::to::<public_access::DeletePublicAccessBlock>(),
    Route::to::<unconfigured::GetBucketAbac>(),
    Route::to::<unconfigured::GetBucketAccelerateConfiguration>(),
    Route::to::<acl::GetBucketAcl>(),
    Route::to::<unconfigured::GetBucketAnalyticsConfiguration>(),
    Route::to::<unconfigured::GetBucketCors>(),
    Route::to::<unconfigured::GetBucketEncryption>(),
    Route::to::<unconfigured::GetBucketIntelligentTieringConfiguration>(),
    Route::to::<unconfigured::GetBucketInventoryConfiguration>(),
    Route::to::<lifecycle::GetBucketLifecycleConfiguration>(),
    Route::to::<GetBucketLocation>(),
    Route::to::<unconfigured::GetBucketLogging>(),
    Route::to::<unconfigured::GetBucketMetricsConfiguration>(),
    Route::to::<unconfigured::GetBucketNotificationConfiguration>(),
    Route::to::<ownership::GetBucketOwnershipControls>(),
    Route::to::<policy::GetBucketPolicy>(),
    Route::to::<policy::GetBucketPolicyStatus>(),
    Route::to::<unconfigured::GetBucketReplication>(),
    Route::to::<unconfigured::GetBucketRequestPayment>(),
    Route::to::<tagging::GetBucketTagging>(),
    Route::to::<versioning::GetBucketVersioning>(),
    Route::to::<unconfigured::GetBucketWebsite>(),
    Route::to::<object_lock::GetObjectLockConfiguration>(),
    Route::to::<public_access::GetPublicAccessBlock>(),
    Route::to::<HeadBucket>(),
    Route::to::<unconfigured::ListBucketAnalyticsConfigurations>(),
    Route::to::<unconfigured::ListBucketIntelligentTieringConfigurations>(),
    Route::to::<unconfigured::ListBucketInventoryConfigurations>(),
    Route::to::<unconfigured::ListBucketMetricsConfigurations>(),
    Route::to::<ListObjectVersions>(),
    Route::to::<ListObjects>(),
    Route::to::<ListObjectsV2>(),
    Route::to::<acl::PutBucketAcl>(),
    Route::to::<settings::PutBucketLogging>(),
    Route::to::<settings::PutBucketNotificationConfiguration>(),
    Route::to::<ownership::PutBucketOwnershipControls>(),
    Route::to::<lifecycle::PutBucketLifecycleConfiguration>(),
    Route::to::<policy::PutBucketPolicy>(),
    Route::to::<settings::PutBucketRequestPayment>(),
    Route::deferred::<tagging::PutBucketTagging>(),
    Route::to::<versioning::PutBucketVersioning>(),
    Route::to::<object_lock::PutObjectLockConfiguration>(),
    Route::to::<public_access::PutPublicAccessBlock>(),
];

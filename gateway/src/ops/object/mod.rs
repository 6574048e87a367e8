//! Operations on objects.

mod acl;
mod answer;
mod attributes;
mod copy;
mod delete;
mod delete_many;
mod get;
mod head;
mod precheck;
mod put;
mod read;
mod tagging;
mod unconfigured;

use http::Method;

pub use acl::{GetObjectAcl, write_acl};
pub use answer::set_checksum;
pub use attributes::GetObjectAttributes;
pub use copy::CopyObject;
pub use delete::DeleteObject;
pub use delete_many::DeleteObjects;
pub use get::GetObject;
pub use head::HeadObject;
pub use precheck::{check_storage_class, precheck};
pub use put::PutObject;
pub use read::lookup;
pub use tagging::{DeleteObjectTagging, GetObjectTagging, PutObjectTagging};

use crate::route::Resource::{Bucket, Object};
use crate::route::Route;
use crate::route::When::{Header, Query};

/// What GET and HEAD understand.
const READ_PARAMETERS: &[&str] = &[
    "partNumber",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "versionId",
];

/// The routes of objects.
pub const ROUTES: &[Route] = &[
    Route::to::<GetObjectAcl>(Method::GET, Object, &[Query("acl")], &["versionId"]),
    Route::to::<GetObjectAttributes>(Method::GET, Object, &[Query("attributes")], &["versionId"]),
    Route::to::<GetObjectTagging>(Method::GET, Object, &[Query("tagging")], &["versionId"]),
    Route::to::<unconfigured::GetObjectRetention>(Method::GET, Object, &[Query("retention")], &["versionId"]),
    Route::to::<unconfigured::GetObjectLegalHold>(
        Method::GET,
        Object,
        &[Query("legal-hold")],
        &["versionId"],
    ),
    Route::to::<GetObject>(Method::GET, Object, &[], READ_PARAMETERS),
    Route::to::<HeadObject>(Method::HEAD, Object, &[], READ_PARAMETERS),
    Route::to::<PutObjectTagging>(Method::PUT, Object, &[Query("tagging")], &["versionId"]),
    Route::to::<CopyObject>(Method::PUT, Object, &[Header("x-amz-copy-source")], &[]),
    Route::to::<PutObject>(Method::PUT, Object, &[], &[]),
    Route::to::<DeleteObjectTagging>(Method::DELETE, Object, &[Query("tagging")], &["versionId"]),
    Route::to::<DeleteObject>(Method::DELETE, Object, &[], &["versionId"]),
    Route::to::<DeleteObjects>(Method::POST, Bucket, &[Query("delete")], &[]),
];

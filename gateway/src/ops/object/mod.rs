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
mod storage_class;
mod tagging;
mod unconfigured;

pub use acl::{GetObjectAcl, PutObjectAcl};
pub use answer::set_checksum;
pub use attributes::GetObjectAttributes;
pub use copy::CopyObject;
pub use delete::DeleteObject;
pub use delete_many::DeleteObjects;
pub use get::GetObject;
pub use head::HeadObject;
pub use precheck::precheck;
pub use put::PutObject;
pub use read::lookup;
pub use storage_class::{ShownClasses, check_storage_class};
pub use tagging::{DeleteObjectTagging, GetObjectTagging, PutObjectTagging};

use crate::route::Route;

/// The operations on objects.
pub const ROUTES: &[Route] = &[
    Route::to::<CopyObject>(),
    Route::to::<DeleteObject>(),
    Route::to::<DeleteObjectTagging>(),
    Route::to::<DeleteObjects>(),
    Route::to::<GetObject>(),
    Route::to::<GetObjectAcl>(),
    Route::to::<GetObjectAttributes>(),
    Route::to::<unconfigured::GetObjectLegalHold>(),
    Route::to::<unconfigured::GetObjectRetention>(),
    Route::to::<GetObjectTagging>(),
    Route::to::<HeadObject>(),
    Route::to::<PutObject>(),
    Route::to::<PutObjectAcl>(),
    Route::to::<PutObjectTagging>(),
];

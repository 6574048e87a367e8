//! Operations on objects.

mod acl;
mod attributes;
mod copy;
mod delete;
mod delete_many;
mod get;
mod head;
mod identity;
mod legal_hold;
mod lock;
mod object_response;
mod precheck;
mod put;
mod quota;
mod read;
mod rename;
mod retention;
mod storage_class;
mod tagging;

pub(crate) use acl::{GetObjectAcl, PutObjectAcl};
pub(crate) use attributes::GetObjectAttributes;
pub(crate) use copy::{CopyObject, marker_as_source, set_versions};
pub(crate) use delete::DeleteObject;
pub(crate) use delete_many::DeleteObjects;
pub(crate) use get::GetObject;
pub(crate) use head::HeadObject;
pub(crate) use identity::set_version;
pub(crate) use put::PutObject;
pub(crate) use quota::check_room_of_part;
pub(crate) use read::missing;
pub(crate) use storage_class::{ShownClasses, check_storage_class};
pub(crate) use tagging::{DeleteObjectTagging, GetObjectTagging, PutObjectTagging};

use crate::ops::Route;

/// The operations on objects.
pub(crate) const ROUTES: &[Route] = &[
    Route::to::<CopyObject>(),
    Route::to::<DeleteObject>(),
    Route::to::<DeleteObjectTagging>(),
    Route::deferred::<DeleteObjects>(),
    Route::to::<GetObject>(),
    Route::to::<GetObjectAcl>(),
    Route::to::<GetObjectAttributes>(),
    Route::to::<legal_hold::GetObjectLegalHold>(),
    Route::to::<retention::GetObjectRetention>(),
    Route::to::<GetObjectTagging>(),
    Route::to::<HeadObject>(),
    Route::to::<PutObject>(),
    Route::to::<PutObjectAcl>(),
    Route::to::<rename::RenameObject>(),
    Route::deferred::<legal_hold::PutObjectLegalHold>(),
    Route::deferred::<retention::PutObjectRetention>(),
    Route::deferred::<PutObjectTagging>(),
];

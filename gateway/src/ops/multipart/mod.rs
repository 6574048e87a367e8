//! Multipart uploads.
//!
//! Checksums (S3 User Guide, "Checking object integrity in Amazon S3"). An upload may be created with an
//! algorithm and a type; its parts then have checksums of that algorithm, given by the client or computed
//! here, and none of another one. An upload that was created with neither takes parts with any checksum
//! and computes CRC64NVME for those that come without; if all parts have the same CRC, the object gets it
//! of all its bytes.

mod abort;
mod checksum;
mod complete;
mod copy_part;
mod create;
mod id;
mod list_parts;
mod list_uploads;
mod manifest;
mod part;

pub(crate) use abort::AbortMultipartUpload;
pub(crate) use complete::CompleteMultipartUpload;
pub(crate) use copy_part::UploadPartCopy;
pub(crate) use create::CreateMultipartUpload;
pub(crate) use list_parts::ListParts;
pub(crate) use list_uploads::ListMultipartUploads;
pub(crate) use part::UploadPart;

use crate::ops::Route;

/// The operations on multipart uploads.
pub(crate) const ROUTES: &[Route] = &[
    Route::to::<AbortMultipartUpload>(),
    Route::to::<CompleteMultipartUpload>(),
    Route::to::<CreateMultipartUpload>(),
    Route::to::<ListMultipartUploads>(),
    Route::to::<ListParts>(),
    Route::to::<UploadPart>(),
    Route::to::<UploadPartCopy>(),
];

//! Multipart uploads.
//!
//! Checksums (S3 User Guide, "Checking object integrity in Amazon S3"). A client may create an upload with an algorithm
//! and a type. Its parts then have checksums of that algorithm only, sent by the client or computed by the gateway. An
//! upload without an algorithm accepts parts with any checksum; for parts without one the gateway computes CRC64NVME.
//! If all parts have a CRC of the same algorithm, the object gets that CRC of all its bytes.

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

//! Operations on the service as a whole.

mod list_buckets;
mod public_access;

pub(crate) use list_buckets::ListBuckets;

use crate::ops::Route;

/// The operations on the service.
pub(crate) const ROUTES: &[Route] = &[
    Route::to::<public_access::DeleteAccountPublicAccessBlock>(),
    Route::to::<public_access::GetAccountPublicAccessBlock>(),
    Route::to::<ListBuckets>(),
    Route::to::<public_access::PutAccountPublicAccessBlock>(),
];

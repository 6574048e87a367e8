//! Operations on the service as a whole.

mod list_buckets;

pub(crate) use list_buckets::ListBuckets;

use crate::ops::Route;

/// The operations on the service.
pub(crate) const ROUTES: &[Route] = &[Route::to::<ListBuckets>()];

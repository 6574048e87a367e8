//! Operations on the service as a whole.

mod list_buckets;

pub use list_buckets::ListBuckets;

use crate::route::Route;

/// The operations on the service.
pub const ROUTES: &[Route] = &[Route::to::<ListBuckets>()];

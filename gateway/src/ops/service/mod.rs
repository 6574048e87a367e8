//! Operations on the service as a whole.

mod list_buckets;

use http::Method;

pub use list_buckets::ListBuckets;

use crate::route::{Resource, Route};

/// The routes of the service.
pub const ROUTES: &[Route] = &[Route::to::<ListBuckets>(
    Method::GET,
    Resource::Service,
    &[],
    &["bucket-region", "continuation-token", "max-buckets", "prefix"],
)];

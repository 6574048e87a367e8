//! Operations on buckets.

mod create;
mod delete;
mod get;
mod list;
mod set_versioning;

//! Operations on buckets.

mod configurations;
mod create;
mod delete;
mod get;
mod list;
mod set_lock;
mod set_versioning;

use cairn_protocol::metadata::{ConfigurationKind, MetadataError};

use super::malformed;

/// Refuses kinds of configurations that nothing would act on.
fn check_kind(kind: ConfigurationKind) -> Result<(), MetadataError> {
    if ConfigurationKind::IMPLEMENTED.contains(&kind) {
        return Ok(());
    }
    Err(malformed(format!("configurations of the kind {} are not implemented", kind.name())))
}

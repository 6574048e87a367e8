//! What fsck reads: pages of joined rows.
//!
//! | module | contents |
//! |---|---|
//! | `owners` | versions and parts, with the extents, blocks and replicas of each |
//! | `leftovers` | blocks, replicas, and the queues of what is to be removed |
//! | `progress` | how far a walk over them has come |
//!
//! Rows are in the order of an index. A page therefore costs as much as it has rows, wherever it begins.

mod leftovers;
mod owners;
mod progress;

pub(crate) use leftovers::*;
pub(crate) use owners::*;
pub(crate) use progress::*;

use super::{Row, StoreError};

fn bytes16(row: &Row, column: &'static str) -> Result<Option<[u8; 16]>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(|bytes| bytes.try_into().map_err(|_| StoreError::Corrupt { column })).transpose()
}

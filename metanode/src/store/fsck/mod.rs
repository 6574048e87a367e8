//! Reads for `fsck`: pages of joined rows. The cost of a page grows with its rows and not with the size of the tables.
//!
//! | module | what is there |
//! |---|---|
//! | `owners` | versions and parts, with the extents, blocks and replicas of each |
//! | `leftovers` | blocks and replicas by themselves, and what waits to go |
//! | `progress` | how far a walk over them has come |
//!
//! Pages follow the order of an index, so that a page costs its rows, wherever it begins.

mod leftovers;
mod owners;
mod progress;

pub(crate) use leftovers::*;
pub(crate) use owners::*;
pub(crate) use progress::*;

use sqlx::Row as _;

use super::{Row, StoreError};

fn bytes16(row: &Row, column: &'static str) -> Result<Option<[u8; 16]>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(|bytes| bytes.try_into().map_err(|_| StoreError::Corrupt { column })).transpose()
}

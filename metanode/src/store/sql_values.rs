//! Conversion between our types and columns: ids are stored as 16 bytes, keys as the bytes of their UTF-8, lengths as
//! signed 64-bit numbers, documents as JSON.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, ClusterId, NodeId, OpeningId, PartId, UploadId, VersionId};
use cairn_protocol::metadata::Quota;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Row, StoreError};

/// The ordinal of the node whose id is this parameter; NULL, which is equal to nothing, if there is no such node.
macro_rules! ordinal_of {
    ($parameter:literal) => {
        concat!("(SELECT ordinal FROM nodes WHERE nodes.node_id = ", $parameter, ")")
    };
}
pub(super) use ordinal_of;

/// An id that can be stored in a column.
pub(crate) trait StoredId: Sized {
    /// The id of these bytes; `None` unless there are 16.
    fn from_column(bytes: &[u8]) -> Option<Self>;
}

macro_rules! stored_ids {
    ($($id:ty),+) => { $(
        impl StoredId for $id {
            fn from_column(bytes: &[u8]) -> Option<Self> {
                Self::from_slice(bytes)
            }
        }
    )+ };
}
stored_ids!(BlockId, ClusterId, NodeId, OpeningId, PartId, UploadId, VersionId);

/// Reads an id from a column.
pub(crate) fn id<T: StoredId>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    T::from_column(bytes).ok_or(StoreError::Corrupt { column })
}

/// Reads an id from a column that may be NULL.
pub(crate) fn optional_id<T: StoredId>(row: &Row, column: &'static str) -> Result<Option<T>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(|bytes| T::from_column(bytes).ok_or(StoreError::Corrupt { column })).transpose()
}

/// Reads a key from a column.
pub(crate) fn key(row: &Row, column: &'static str) -> Result<String, StoreError> {
    let bytes: Vec<u8> = row.try_get(column)?;
    String::from_utf8(bytes).map_err(|_| StoreError::Corrupt { column })
}

/// Reads a text from a column.
pub(crate) fn text(row: &Row, column: &'static str) -> Result<String, StoreError> {
    row.try_get(column)
}

/// Reads a number that is never negative from a column: a length, an offset, a count.
pub(crate) fn number<T: TryFrom<i64>>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    let value: i64 = row.try_get(column)?;
    T::try_from(value).map_err(|_| StoreError::Corrupt { column })
}

/// Reads such a number from a column that may be NULL.
pub(crate) fn optional_number<T: TryFrom<i64>>(
    row: &Row,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    let value: Option<i64> = row.try_get(column)?;
    value.map(|value| T::try_from(value).map_err(|_| StoreError::Corrupt { column })).transpose()
}

/// Reads the columns `quota_objects` and `quota_bytes`.
pub(crate) fn quota(row: &Row) -> Result<Quota, StoreError> {
    Ok(Quota { objects: optional_number(row, "quota_objects")?, bytes: optional_number(row, "quota_bytes")? })
}

/// Reads a time from a column.
pub(crate) fn time(row: &Row, column: &'static str) -> Result<Timestamp, StoreError> {
    number(row, column).map(Timestamp)
}

/// Reads a JSON document from a column.
pub(crate) fn json<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt { column })
}

/// Reads a JSON document from a column that may be NULL.
pub(crate) fn optional_json<T: DeserializeOwned>(
    row: &Row,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(serde_json::from_str).transpose().map_err(|_| StoreError::Corrupt { column })
}

/// Writes a JSON document for a column.
pub(crate) fn to_json<T: Serialize>(value: &T, column: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt { column })
}

/// The column's value for a length, offset or count. Values from 2⁶³ on become the largest that a column holds. None is
/// ever stored; as a bound of a comparison, the largest one selects the same rows.
pub(crate) fn to_number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The column's value for a time.
pub(crate) fn to_time(time: Timestamp) -> i64 {
    to_number(time.0)
}

//! Values in columns: ids as 16 bytes, keys as the bytes of their UTF-8, lengths as signed 64-bit numbers, documents as
//! JSON.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, ClusterId, NodeId, OpeningId, PartId, UploadId, VersionId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;

use super::{Row, StoreError};

/// An id that is stored in a column.
pub(crate) trait StoredId: Sized {
    /// The id with these bytes; `None` unless there are sixteen.
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

/// The id in a column.
pub(crate) fn id<T: StoredId>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    T::from_column(bytes).ok_or(StoreError::Corrupt { column })
}

/// The key in a column.
pub(crate) fn key(row: &Row, column: &'static str) -> Result<String, StoreError> {
    let bytes: Vec<u8> = row.try_get(column)?;
    String::from_utf8(bytes).map_err(|_| StoreError::Corrupt { column })
}

/// The text in a column.
pub(crate) fn text(row: &Row, column: &'static str) -> Result<String, StoreError> {
    Ok(row.try_get(column)?)
}

/// The number in a column that is never negative: a length, an offset, or a count.
pub(crate) fn number<T: TryFrom<i64>>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    let value: i64 = row.try_get(column)?;
    T::try_from(value).map_err(|_| StoreError::Corrupt { column })
}

/// The time in a column.
pub(crate) fn time(row: &Row, column: &'static str) -> Result<Timestamp, StoreError> {
    number(row, column).map(Timestamp)
}

/// The document in a column.
pub(crate) fn json<T: DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt { column })
}

/// The document in a column that may be empty.
pub(crate) fn optional_json<T: DeserializeOwned>(
    row: &Row,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(serde_json::from_str).transpose().map_err(|_| StoreError::Corrupt { column })
}

/// A document for a column.
pub(crate) fn to_json<T: Serialize>(value: &T, column: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt { column })
}

/// A length, offset or count for a column. No stored value is above 2⁶³, so all greater values compare alike.
pub(crate) fn to_number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A time for a column.
pub(crate) fn to_time(time: Timestamp) -> i64 {
    to_number(time.0)
}

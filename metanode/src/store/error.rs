//! The errors of the database, and the errors of the services for them.

use std::sync::Arc;

use cairn_protocol::admin::AdminError;
use cairn_protocol::cluster::ClusterError;
use cairn_protocol::iam::IamError;
use cairn_protocol::metadata::MetadataError;
use cairn_protocol::warn_self;
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use sqlx::migrate::MigrateError;
use thiserror::Error;

/// Why the database failed.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The disk is full. Reads work, writes fail until there is space.
    #[error("the disk of the metanode's database is full")]
    NoSpace,
    /// All connections are in use, or another process holds a lock on the database.
    #[error("the database is busy")]
    Busy,
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
    /// Another mutation's failure rolled the whole transaction back. Nothing was done.
    #[error("the transaction was lost")]
    TransactionLost,
    /// A mutation panicked. Its changes were rolled back.
    #[error("a mutation panicked")]
    Panicked,
    /// A column contains a value that Cairn does not write.
    #[error("column {column} holds a value that does not belong there")]
    Corrupt {
        /// The column.
        column: &'static str,
    },
    /// A setting of the database would lose commits.
    #[error("the database runs with {pragma}={found} where {wanted} is needed")]
    NotDurable {
        /// The setting.
        pragma: &'static str,
        /// The value that it must have.
        wanted: &'static str,
        /// The value that it has.
        found: String,
    },
    /// The extents of an object or part have a gap, overlap, are too short, or exceed their blocks.
    #[error("the extents of an object or part do not make up the bytes that they should")]
    BrokenExtents,
    /// A newer release wrote the database, and this one would misread it.
    #[error("the database is of a newer version of Cairn (its schema is version {version})")]
    NewerSchema {
        /// The schema's version.
        version: i64,
    },
    /// A migration failed.
    #[error("the schema could not be brought up to date: {0}")]
    Migrate(#[source] Arc<MigrateError>),
    /// A thread could not be started.
    #[error("no thread could be started for the database: {0}")]
    Thread(#[source] Arc<std::io::Error>),
    /// Any other error of SQLite.
    #[error("{0}{code}", code = code(.0))]
    Sql(#[source] Arc<rusqlite::Error>),
}

impl StoreError {
    /// The error for a thread that could not be started.
    pub(super) fn thread(error: std::io::Error) -> Self {
        Self::Thread(Arc::new(error))
    }
}

/// The extended result code, which tells what the message does not: which kind of I/O failed, for example.
fn code(error: &Arc<rusqlite::Error>) -> String {
    error.sqlite_error().map(|error| format!(" (SQLite code {})", error.extended_code)).unwrap_or_default()
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // The log's index could not grow, "because the underlying filesystem volume is out of space": https://sqlite.org/rescode.html
        if error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_IOERR_SHMSIZE) {
            return Self::NoSpace;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoSpace,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sql(Arc::new(error)),
        }
    }
}

/// An error of the connection that applies migrations.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        MigrateError::from(error).into()
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::NewerSchema { version },
            other => Self::Migrate(Arc::new(other)),
        }
    }
}

/// The party that is to blame for an error, which decides how it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This process, as far as known.
    Own,
    /// A resource is missing, such as disk space. The operator must act; this process has no fault.
    Shortage,
}

impl StoreError {
    /// The party that is to blame.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            // The failure that rolled the transaction back is logged where it occurred.
            Self::NoSpace | Self::TransactionLost => Fault::Shortage,
            Self::Busy
            | Self::Closed
            | Self::Panicked
            | Self::Corrupt { .. }
            | Self::NotDurable { .. }
            | Self::BrokenExtents
            | Self::NewerSchema { .. }
            | Self::Migrate(_)
            | Self::Thread(_)
            | Self::Sql(_) => Fault::Own,
        }
    }
}

/// The error for the outside: the disk is full, retry, or an internal error.
enum Outward {
    NoSpace,
    TryAgain,
    Internal,
}

impl StoreError {
    /// Chooses the error for the outside, and logs details that are not sent.
    fn outward(&self) -> Outward {
        match self {
            Self::NoSpace => Outward::NoSpace,
            Self::Busy | Self::Closed | Self::TransactionLost => Outward::TryAgain,
            Self::Panicked
            | Self::Corrupt { .. }
            | Self::BrokenExtents
            | Self::NotDurable { .. }
            | Self::NewerSchema { .. }
            | Self::Migrate(_)
            | Self::Thread(_)
            | Self::Sql(_) => {
                warn_self!(error = %self, "a metadata operation failed");
                Outward::Internal
            }
        }
    }
}

impl From<StoreError> for MetadataError {
    fn from(error: StoreError) -> Self {
        match error.outward() {
            Outward::NoSpace => Self::NoSpace,
            Outward::TryAgain => Self::Unavailable { reason: error.to_string() },
            Outward::Internal => Self::Internal,
        }
    }
}

impl From<StoreError> for IamError {
    fn from(error: StoreError) -> Self {
        match error.outward() {
            Outward::NoSpace => Self::NoSpace,
            Outward::TryAgain => Self::Unavailable { reason: error.to_string() },
            Outward::Internal => Self::Internal,
        }
    }
}

impl From<StoreError> for ClusterError {
    fn from(error: StoreError) -> Self {
        match error.outward() {
            Outward::NoSpace | Outward::TryAgain => Self::Unavailable { reason: error.to_string() },
            Outward::Internal => Self::Internal,
        }
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        match error.outward() {
            Outward::NoSpace | Outward::TryAgain => Self::Unavailable { reason: error.to_string() },
            Outward::Internal => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi::{Error, SQLITE_FULL, SQLITE_IOERR_READ};

    use super::*;

    fn failed(code: i32) -> StoreError {
        rusqlite::Error::SqliteFailure(Error::new(code), None).into()
    }

    /// A metanode that was restarted while its disk was full reported `disk I/O error` as its own fault: SQLite says so when the index
    /// of its write-ahead log cannot grow. Clients got 500 instead of 503.
    #[test]
    fn a_full_disk_is_one_whatever_file_could_not_grow() {
        for code in [SQLITE_FULL, SQLITE_IOERR_SHMSIZE] {
            assert!(matches!(failed(code), StoreError::NoSpace), "{code}");
        }
        let other = failed(SQLITE_IOERR_READ);
        assert_eq!(other.fault(), Fault::Own);
        assert!(other.to_string().ends_with("(SQLite code 266)"), "{other}");
    }
}

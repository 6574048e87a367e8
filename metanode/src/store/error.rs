//! What can go wrong in the database, and what services answer then.

use std::sync::Arc;

use cairn_protocol::admin::AdminError;
use cairn_protocol::cluster::ClusterError;
use cairn_protocol::metadata::MetadataError;
use cairn_protocol::warn_self;
use sqlx::migrate::MigrateError;
use thiserror::Error;

/// Why the database did not do what it was asked.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The disk is full: reads go on, writes fail until there is space.
    #[error("the disk of the metanode's database is full")]
    NoSpace,
    /// All connections are taken, or another process holds the database.
    #[error("the database is busy")]
    Busy,
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
    /// A neighbour's failure took the whole transaction with it; nothing was done.
    #[error("the transaction was lost")]
    TransactionLost,
    /// A mutation panicked; its changes were undone.
    #[error("a mutation panicked")]
    Panicked,
    /// A value in the database is none that we would have written.
    #[error("column {column} holds a value that does not belong there")]
    Corrupt {
        /// The column.
        column: &'static str,
    },
    /// The database does not keep what it commits.
    #[error("the database runs with {pragma}={found} where {wanted} is needed")]
    NotDurable {
        /// The setting.
        pragma: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// The extents of an object or a part have a gap, overlap, are too short, or lie beyond their blocks.
    #[error("the extents of {owner} do not make up the bytes that they should")]
    BrokenExtents {
        /// The object's version or the part.
        owner: String,
    },
    /// A newer Cairn wrote the database; this one would misunderstand it.
    #[error("the database is of a newer version of Cairn (its schema is version {version})")]
    NewerSchema {
        /// The schema's version.
        version: i64,
    },
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date: {0}")]
    Migrate(#[source] Arc<MigrateError>),
    /// Anything else that the database says.
    #[error("{0}")]
    Sql(#[source] Arc<sqlx::Error>),
}

/// Primary result codes of SQLite (<https://www.sqlite.org/rescode.html>).
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_FULL: u32 = 13;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Closed,
            // The low byte of an extended code is the primary one.
            sqlx::Error::Database(database) => {
                match database.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff) {
                    Some(SQLITE_FULL) => Self::NoSpace,
                    Some(SQLITE_BUSY | SQLITE_LOCKED) => Self::Busy,
                    _ => Self::Sql(Arc::new(error)),
                }
            }
            _ => Self::Sql(Arc::new(error)),
        }
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

/// Whose fault an error is, for who logs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This process's, until it is shown otherwise.
    Own,
    /// Something that it needs and does not have: the operator's to mend. Nothing is wrong with this process.
    Shortage,
}

impl StoreError {
    /// The extents of `owner` are broken.
    pub(crate) fn broken_extents(owner: &[u8; 16]) -> Self {
        Self::BrokenExtents { owner: uuid::Uuid::from_bytes(*owner).to_string() }
    }

    /// Whose fault it is.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            // Whatever took the transaction with it is told where it arose.
            Self::NoSpace | Self::TransactionLost => Fault::Shortage,
            Self::Busy
            | Self::Closed
            | Self::Panicked
            | Self::Corrupt { .. }
            | Self::NotDurable { .. }
            | Self::BrokenExtents { .. }
            | Self::NewerSchema { .. }
            | Self::Migrate(_)
            | Self::Sql(_) => Fault::Own,
        }
    }
}

/// What an error becomes for those outside: the disk is full, try again, or our fault.
enum Outward {
    NoSpace,
    TryAgain,
    Internal,
}

impl StoreError {
    /// Decides what others hear of this. What they do not hear is logged here.
    fn outward(&self) -> Outward {
        match self {
            Self::NoSpace => Outward::NoSpace,
            Self::Busy | Self::Closed | Self::TransactionLost => Outward::TryAgain,
            Self::Panicked
            | Self::Corrupt { .. }
            | Self::BrokenExtents { .. }
            | Self::NotDurable { .. }
            | Self::NewerSchema { .. }
            | Self::Migrate(_)
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

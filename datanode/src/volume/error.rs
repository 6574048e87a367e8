//! Errors of a volume: of an operation, and of opening it. They distinguish a failed disk, a full disk, and
//! what this process lacks: only the first takes a volume out.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::{BlockId, VolumeId};
use rustix::io::Errno;

/// Why an operation on a volume failed. Cheap to clone, because one failed `fdatasync` is the error of many writers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VolumeError {
    /// There is too little space for the block. Nothing of it was kept.
    #[error("the volume is full: {needed} bytes are needed, {available} are available")]
    Full {
        /// Bytes that the block would take.
        needed: u64,
        /// Bytes that are free beyond the reserve and not reserved for other writers.
        available: u64,
    },
    /// An earlier write or sync failed; the volume takes no more writes until the node is restarted.
    #[error("the volume has failed: {0}")]
    Failed(Arc<str>),
    /// The volume does not hold the block.
    #[error("block {0} is not here")]
    NotFound(BlockId),
    /// The volume holds a replica of the block with other bytes. Blocks are immutable, so the write is refused.
    #[error("block {id} is here already, with {length} bytes and CRC32C {crc:08x}")]
    Conflict {
        /// The block.
        id: BlockId,
        /// Length of the replica that is held, in bytes.
        length: u64,
        /// CRC32C of the replica that is held.
        crc: Crc32c,
    },
    /// Fewer or more bytes came than were announced. Nothing was kept.
    #[error("{expected} bytes were announced, {got} came")]
    WrongLength {
        /// Bytes announced.
        expected: u64,
        /// Bytes that came (at least).
        got: u64,
    },
    /// The bytes that came have another CRC32C than was announced. Nothing was kept.
    #[error("CRC32C {expected:08x} was announced, the bytes have {got:08x}")]
    WrongChecksum {
        /// CRC32C announced.
        expected: Crc32c,
        /// CRC32C of what came.
        got: Crc32c,
    },
    /// The length of the block, in bytes, is outside of the format's limits.
    #[error("a block of {0} bytes cannot be stored")]
    BadLength(u64),
    /// The bytes on the disk are not those that were written.
    #[error("block {id} is damaged: {reason}")]
    Damaged {
        /// The block.
        id: BlockId,
        /// Whether it reads wrong, cannot be read, or is missing.
        damage: Damage,
        /// What is wrong with it, for the log.
        reason: Arc<str>,
    },
    /// An operation failed in a way that says nothing about the disk, for lack of file descriptors for instance.
    #[error("{operation} {path}: {error}")]
    Io {
        /// The operation that failed.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: Arc<io::Error>,
    },
    /// The volume was closed: the node is shutting down.
    #[error("the volume is closed")]
    Closed,
}

impl VolumeError {
    pub(crate) fn io(operation: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { operation, path: path.to_path_buf(), error: Arc::new(error) }
    }

    pub(crate) fn damaged(id: BlockId, damage: Damage, reason: impl Into<Arc<str>>) -> Self {
        Self::Damaged { id, damage, reason: reason.into() }
    }
}

/// How a replica is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It can be read, but its bytes are not those that were written.
    Wrong,
    /// The system cannot read it: the sector, or all of the disk, is bad.
    Unreadable,
    /// Its file is not there.
    Missing,
}

/// Whether the error is a lack of space, which is no fault of the disk.
pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether the error is a lack of file descriptors or memory in this process or machine, which says nothing about the disk.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    shortages.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Why a volume could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The directory belongs to another node, for instance because two nodes' directories were mixed up.
    #[error("{path} belongs to datanode {found}, and this is datanode {expected}")]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node that it says it belongs to.
        found: cairn_protocol::id::NodeId,
        /// This node.
        expected: cairn_protocol::id::NodeId,
    },
    /// The directory belongs to another cluster than the node's other directories.
    #[error("{path} belongs to cluster {found}, and this node to cluster {expected}")]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster that it says it belongs to.
        found: cairn_protocol::id::ClusterId,
        /// This node's cluster.
        expected: cairn_protocol::id::ClusterId,
    },
    /// The identity file cannot be understood: it is damaged.
    #[error("{path} cannot be understood: {reason}")]
    BadIdentity {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it, for the log.
        reason: String,
    },
    /// Another version of the software made the volume.
    #[error("{path} is not a volume that this version can read: its format is {found}, and {known} is known")]
    OtherFormat {
        /// The identity file.
        path: PathBuf,
        /// The format that it names.
        found: u64,
        /// The format that this version reads and writes.
        known: u32,
    },
    /// Two directories hold the same volume: one was copied from the other.
    #[error("{path} is a copy of {other}: remove one of them")]
    Copied {
        /// One directory.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// The directory held a volume, and is empty or missing now.
    #[error(
        "{path} is empty, but held volume {volume}: is its disk mounted? To begin anew there, name another directory"
    )]
    Gone {
        /// The directory.
        path: PathBuf,
        /// The volume that was there.
        volume: VolumeId,
    },
    /// The system refused an operation.
    #[error("cannot {operation} {path}: {error}")]
    Io {
        /// The operation that failed.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Recovery could not finish.
    #[error("cannot recover {path}: {error}")]
    Recovery {
        /// The directory.
        path: PathBuf,
        /// Why it could not.
        error: VolumeError,
    },
}

impl OpenError {
    /// Whether the cause is a lack of file descriptors or memory in this process or machine.
    pub(crate) fn is_shortage(&self) -> bool {
        match self {
            Self::Io { error, .. } => is_shortage(error),
            Self::Recovery { error: VolumeError::Io { error, .. }, .. } => is_shortage(error),
            Self::Recovery { .. }
            | Self::InUse(_)
            | Self::OtherNode { .. }
            | Self::OtherCluster { .. }
            | Self::BadIdentity { .. }
            | Self::OtherFormat { .. }
            | Self::Copied { .. }
            | Self::Gone { .. } => false,
        }
    }
}

//! What can go wrong on a volume.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::BlockId;

/// Why an operation on a volume did not succeed. Cheap to clone: one failed `fdatasync` answers many writers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VolumeError {
    /// Too little room for the block. Nothing of it was kept.
    #[error("the volume is full: {needed} bytes are needed, {available} are available")]
    Full {
        /// Bytes that the block would take.
        needed: u64,
        /// Bytes that are free beyond the reserve and what is being received.
        available: u64,
    },
    /// An earlier write or sync failed; the volume takes no more writes until the node is restarted.
    #[error("the volume has failed: {0}")]
    Failed(Arc<str>),
    /// The volume does not hold the block.
    #[error("block {0} is not here")]
    NotFound(BlockId),
    /// The block is here with other bytes. Blocks are immutable, so this is refused.
    #[error("block {id} is here already, with {length} bytes and CRC32C {crc:08x}")]
    Conflict {
        /// The block.
        id: BlockId,
        /// Bytes of the block that is here.
        length: u64,
        /// CRC32C of the block that is here.
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
    /// A block outside of the format's limits.
    #[error("a block of {0} bytes cannot be stored")]
    BadLength(u64),
    /// The bytes on the disk are not those that were written.
    #[error("block {id} is damaged: {reason}")]
    Damaged {
        /// The block.
        id: BlockId,
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// An operation failed in a way that says nothing about the volume as a whole.
    #[error("{operation} {path}: {error}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
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

    pub(crate) fn damaged(id: BlockId, reason: impl Into<Arc<str>>) -> Self {
        Self::Damaged { id, reason: reason.into() }
    }
}

/// Whether the system says that there is no room, which is no fault of the disk.
pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
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
    /// The identity file cannot be understood.
    #[error("{path} is not a volume that this version can read: {reason}")]
    BadIdentity {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused.
    #[error("cannot {operation} {path}: {error}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Recovery could not finish.
    #[error("cannot recover {path}: {error}")]
    Recovery {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: VolumeError,
    },
}

//! The result of a recovery: the counts that it logs, and the state with which the writers continue.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::disk::DiskFile;

/// What recovery found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Blocks that the volume holds.
    pub blocks: u64,
    /// Blocks in the trash.
    pub trashed: u64,
    /// Records and files that came after the checkpoint.
    pub replayed: u64,
    /// Half-written blocks that were dropped.
    pub dropped: u64,
    /// Records, files and stretches of segments that were damaged, and set aside.
    pub set_aside: u64,
    /// Segments and directories that cannot be read at all.
    pub unreadable: u64,
    /// Whether there was a checkpoint that could not be read.
    pub lost_checkpoint: bool,
    /// Bytes cut off the newest shared segment.
    pub torn_bytes: u64,
}

/// The state with which the volume's writers continue.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) report: Recovery,
    /// The newest shared segment, to be appended to.
    pub(crate) active: Option<Arc<dyn DiskFile>>,
    /// Directories of own segments with their number of files.
    pub(crate) directories: BTreeMap<u32, u64>,
    /// The highest number of such a directory that is in use.
    pub(crate) directory_max: u32,
}

//! How a volume uses its disk: what an operator decides, with the reasons for the defaults.

use std::time::Duration;

/// How a volume uses its disk. All sizes in bytes.
#[derive(Clone, Debug)]
pub struct VolumeOptions {
    /// Use no more than this of the file system; `None` for all of it. Several nodes that share a disk
    /// would otherwise each offer the whole of it.
    pub capacity_bytes_max: Option<u64>,
    /// Blocks are refused when less than this is free, so that deletes (whose tombstones need space),
    /// checkpoints and compaction still work on a full volume.
    pub reserve_bytes: u64,
    /// Blocks from this length on have a segment of their own. One unlink deletes them, where smaller ones
    /// would waste most of a page and an fsync each.
    pub dedicated_segment_bytes_min: u64,
    /// Shared segments are sealed at this size: what one compaction rewrites at the most.
    pub segment_bytes_max: u32,
    /// A checkpoint is due when so many bytes were stored since the last: what a start after a crash has to
    /// read and verify at the most, some ten seconds of one disk.
    pub checkpoint_bytes: u64,
    /// How long a deleted block lies in the trash, from where it can be brought back; zero for no trash. A day:
    /// long enough for a person to notice that something deleted what it should not have, and it costs nothing,
    /// because the trash is emptied when its space is needed.
    pub trash_age: Duration,
}

impl Default for VolumeOptions {
    fn default() -> Self {
        Self {
            capacity_bytes_max: None,
            reserve_bytes: 256 << 20,
            dedicated_segment_bytes_min: 1 << 20,
            segment_bytes_max: 256 << 20,
            checkpoint_bytes: 4 << 30,
            trash_age: Duration::from_secs(24 * 3600),
        }
    }
}

//! How a volume uses its disk: what an operator decides, with the reasons for the defaults.

use std::time::Duration;

/// How a volume uses its disk. All sizes in bytes.
#[derive(Clone, Debug)]
pub struct VolumeOptions {
    /// The volume grows to this size at most; `None` for the whole file system. Several nodes that share a disk would
    /// otherwise each offer all of it.
    pub capacity_bytes_max: Option<u64>,
    /// Blocks are refused when less than this is free, so that deletes (whose tombstones need space),
    /// checkpoints and compaction still work on a full volume.
    pub reserve_bytes: u64,
    /// Blocks from this length on get a dedicated segment. One unlink deletes such a block; smaller ones would each waste most
    /// of a page, and cost an fsync each.
    pub dedicated_segment_bytes_min: u64,
    /// Shared segments are sealed at this size. One compaction rewrites this much at most.
    pub segment_bytes_max: u32,
    /// A checkpoint is due when so many bytes were stored since the last one. A start after a crash has to read and verify
    /// this much at most, which takes a disk some ten seconds.
    pub checkpoint_bytes: u64,
    /// How long a deleted block stays in the trash, from where it can be brought back; zero for no trash. A day is long enough
    /// for a person to notice that something was deleted by mistake. It costs nothing, because the trash is emptied when its
    /// space is needed.
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

//! How large a block can be.

/// The largest block that a datanode takes, in bytes. 5 TiB in 20,000 blocks of this size; a chunk table of 16 KiB.
pub const BLOCK_LENGTH_MAX: u64 = 256 * 1024 * 1024;

//! The largest length of a block.

/// Upper limit for the length of a block in bytes. An object of 5 TiB has some 20,000 blocks of this size, and a block's chunk
/// table has 16 KiB.
pub const BLOCK_LENGTH_MAX: u64 = 256 * 1024 * 1024;

//! Memory limits and time-outs of the data path.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the data path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Bytes of memory for blocks that uploads fill and send, all together. When it is spent, blocks
    /// get shorter; no upload fails. Larger lets more uploads use blocks of full size.
    pub upload_memory: u64,
    /// Bytes of memory for what downloads read and pass on, all together. One whose client does not read holds a few
    /// KiB of it. When it is spent, further downloads wait in turn, and are told to slow down after a while.
    pub download_memory: u64,
    /// How long to wait for datanodes and for the metanode.
    #[serde(skip)]
    pub timeouts: Timeouts,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { upload_memory: 192 << 20, download_memory: 128 << 20, timeouts: Timeouts::default() }
    }
}

/// The least that [`DataConfig::upload_memory`] and [`DataConfig::download_memory`] can be: with less,
/// a handful of transfers would work on blocks of a few chunks.
pub const MEMORY_MIN: u64 = 8 << 20;

/// What is wrong with a [`DataConfig`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value} bytes; it must be at least {MEMORY_MIN}")]
pub struct DataConfigError {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

impl DataConfig {
    /// Checks everything once.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), DataConfigError> {
        for (name, value) in
            [("upload_memory", self.upload_memory), ("download_memory", self.download_memory)]
        {
            if value < MEMORY_MIN {
                return Err(DataConfigError { name, value });
            }
        }
        Ok(())
    }
}

/// How long to wait for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A datanode takes no further byte of a block: time to ask who of the pipeline is alive. Shorter than
    /// datanodes wait for each other, because whoever asks all of them finds the one that stands still.
    pub put_progress: Duration,
    /// A pipeline that has taken all bytes does not say that they are stored: the same.
    pub put_reply: Duration,
    /// A node that is asked whether it lives does not answer.
    pub probe: Duration,
    /// One block finds no place in all, attempts on other nodes included. S3 clients give up after a
    /// minute without a byte.
    pub block: Duration,
    /// A datanode does not begin to answer a read.
    pub open: Duration,
    /// A datanode has not begun to answer a read: the next replica is asked beside it, and whoever answers
    /// first is read from. A living node begins within milliseconds, a loaded disk within hundreds, so few
    /// reads are asked for twice; and a reader does not wait for a node that stands still.
    pub hedge: Duration,
    /// The next chunk does not come. A healthy disk takes milliseconds, a busy one hundreds.
    pub chunk: Duration,
    /// No replica of a block can be read, over all attempts.
    pub read: Duration,
    /// The metanode does not answer a request that can be repeated, over all repetitions: longer than its
    /// restart takes.
    pub metadata: Duration,
    /// The metanode knows of too few datanodes that can take a block, over all repetitions: one that
    /// comes back is known within a heartbeat, and beyond that a client's own patience is the better one.
    pub nodes: Duration,
    /// The download budget is spent.
    pub memory: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            put_progress: Duration::from_secs(8),
            put_reply: Duration::from_secs(9),
            probe: Duration::from_secs(2),
            block: Duration::from_secs(45),
            open: Duration::from_secs(5),
            hedge: Duration::from_secs(1),
            chunk: Duration::from_secs(5),
            read: Duration::from_secs(30),
            metadata: Duration::from_secs(20),
            nodes: Duration::from_secs(3),
            memory: Duration::from_secs(10),
        }
    }
}

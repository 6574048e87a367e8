//! Memory limits and time-outs of the data path.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the data path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Memory for blocks that uploads fill and send, in bytes, for all uploads together. When it is used up, blocks
    /// become shorter and no upload fails. A larger budget lets more uploads make blocks of full size.
    pub upload_memory: u64,
    /// Memory for what downloads read and pass on, in bytes, for all downloads together. A download whose client does
    /// not read holds a few KiB. When the budget is used up, further downloads wait in turn, and get `SlowDown` after a
    /// while.
    pub download_memory: u64,
    /// The time-outs.
    #[serde(skip)]
    pub timeouts: Timeouts,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { upload_memory: 192 << 20, download_memory: 128 << 20, timeouts: Timeouts::default() }
    }
}

/// The minimum of [`DataConfig::upload_memory`] and [`DataConfig::download_memory`], in bytes. With less, a handful of
/// transfers would use blocks of a few chunks.
pub const MEMORY_MIN: u64 = 8 << 20;

/// Why a [`DataConfig`] is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value} bytes; it must be at least {MEMORY_MIN}")]
pub struct DataConfigError {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
}

impl DataConfig {
    /// Checks all settings.
    ///
    /// # Errors
    /// The first setting that is invalid.
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

/// Time-outs for datanodes, the metanode and memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// How long a datanode may accept no byte of a block before the gateway probes the pipeline's nodes. It is shorter
    /// than the time-out between datanodes, because the gateway can probe all of them and find the one that hangs.
    pub put_progress: Duration,
    /// How long a pipeline that has all bytes may take to confirm that they are stored, before its nodes are probed.
    pub put_reply: Duration,
    /// How long a probed node may take to answer.
    pub probe: Duration,
    /// How long one block may take to be stored, including attempts on other nodes. S3 clients time out after a minute
    /// without a byte.
    pub block: Duration,
    /// How long a datanode may take to begin its response to a read.
    pub open: Duration,
    /// How long a datanode may take to begin its response before the next replica is requested as well; the first to
    /// respond is read. A healthy node begins within milliseconds and a busy disk within some hundred, so few reads are
    /// sent twice, and no reader waits for a node that hangs.
    pub hedge: Duration,
    /// How long the next chunk may take. A healthy disk takes milliseconds, a busy one some hundred.
    pub chunk: Duration,
    /// How long the replicas of a block may all be unreadable, over all attempts.
    pub read: Duration,
    /// How long the metanode may be unavailable for a request that can be repeated. It is longer than a restart takes.
    pub metadata: Duration,
    /// How long the metanode may know too few datanodes for a block. A node that returns is known within a heartbeat;
    /// to wait for longer is the client's decision.
    pub nodes: Duration,
    /// How long a download may wait for memory.
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

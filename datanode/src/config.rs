//! The configuration of a datanode: what an operator decides, with units and reasons.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_listener::Limits;
use cairn_listener::tls::ServerConfig;

use crate::volume::VolumeOptions;

/// The configuration of a datanode.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directories of the volumes, one per disk. They are made if they are missing, and one process at a time uses them.
    pub directories: Vec<PathBuf>,
    /// The base URL under which gateways and other datanodes reach this one, such as `http://10.0.0.1:9020`.
    pub address: String,
    /// The zone of the machine, such as its rack or site. Replicas of a block are spread over zones.
    pub zone: Option<String>,
    /// How each volume uses its disk.
    pub volume: VolumeOptions,
    /// Blocks that are received at once; more are refused as busy. Each takes up to 2 MiB of memory.
    pub receives_max: usize,
    /// Blocks that are read at once; more reads are refused as busy. Each takes up to 512 KiB of memory.
    pub reads_max: usize,
    /// How long a sender, or the next node of a pipeline, may make no progress before it is given up.
    pub stall_timeout: Duration,
    /// Blocks that are copied from other nodes at once: enough to keep a disk busy, and few enough that clients do not notice.
    pub pulls_max: usize,
    /// The scrub period: within this time every replica is read and checked once.
    pub scrub_period: Duration,
    /// The most that the scrubber of each disk reads, in bytes per second, even if it then takes longer than the period.
    pub scrub_bytes_per_second_max: u64,
    /// How often to probe each disk, and to look for segments to compact and for a checkpoint that is due.
    pub maintenance_interval: Duration,
    /// A disk that does not answer a probe within this time has failed. The time is far longer than the slowest working disk needs,
    /// because all replicas of a failed disk are made again from others.
    pub probe_timeout: Duration,
    /// The shortest and the longest time between two attempts to reach the metanode.
    pub retry_delay: (Duration, Duration),
    /// Limits of the listener: connections, sizes and time-outs.
    pub limits: Limits,
    /// TLS of the listener; without, it speaks plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Config {
    /// The defaults, with blocks in these directories, reached under this base URL.
    pub fn new(directories: Vec<PathBuf>, address: impl Into<String>) -> Self {
        Self {
            directories,
            address: address.into(),
            zone: None,
            volume: VolumeOptions::default(),
            receives_max: 128,
            reads_max: 512,
            stall_timeout: Duration::from_secs(10),
            pulls_max: 4,
            scrub_period: Duration::from_secs(14 * 24 * 3600),
            scrub_bytes_per_second_max: 64 << 20,
            maintenance_interval: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(120),
            retry_delay: (Duration::from_millis(200), Duration::from_secs(5)),
            limits: Limits::internal(),
            tls: None,
        }
    }
}

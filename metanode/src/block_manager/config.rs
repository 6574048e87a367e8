//! Configuration of blocks: each option with its unit and its reason.

use std::collections::BTreeMap;
use std::time::Duration;

use cairn_protocol::block::{BLOCK_LENGTH_MAX, BLOCK_SIZE_MIN};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The options for blocks. In configuration files durations are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlockManagerConfig {
    /// The replicas that a block should have. Three survive the loss of any two nodes, and of one while another is
    /// being repaired.
    pub replication: u32,
    /// The replicas that a block must have before its write is acknowledged, limited by the number of registered nodes.
    /// Two, so that no single failure loses an acknowledged write.
    pub min_replicas: u32,
    /// Replication by storage class; other classes have `replication`. `REDUCED_REDUNDANCY` has two:
    /// AWS sells it as less durable (<https://aws.amazon.com/s3/reduced-redundancy/>).
    pub storage_classes: BTreeMap<String, u32>,
    /// The largest length in bytes of an object's first blocks; blocks grow with the object. 8 MiB are
    /// read from a disk in a tenth of a second, and a thousand buffers of that size fit a gateway.
    pub block_size: u64,
    /// The interval of datanodes' heartbeats. Three fit into `stale_after`, so that a single lost one changes nothing.
    #[serde(rename = "heartbeat_interval_ms", with = "millis")]
    pub heartbeat_interval: Duration,
    /// After this time without contact a node is stale: it gets no new blocks and is read last. A wrong guess costs little.
    #[serde(rename = "stale_after_ms", with = "millis")]
    pub stale_after: Duration,
    /// After this time without contact a node is dead: its blocks are repaired from other replicas. Longer than a restart of a
    /// machine, because a wrong guess copies much data.
    #[serde(rename = "dead_after_ms", with = "millis")]
    pub dead_after: Duration,
    /// How long a grant can be committed unless it is renewed. It is long enough that most uploads never renew (a
    /// renewal is a transaction), and short enough that the blocks of a dead gateway are deleted soon.
    #[serde(rename = "lease_ms", with = "millis")]
    pub lease: Duration,
    /// How long after the end of its lease a block that was not committed is deleted. It is longer than a transaction
    /// can wait.
    #[serde(rename = "lease_slack_ms", with = "millis")]
    pub lease_slack: Duration,
    /// The grace period: how long deleted and overwritten objects stay readable, for reads that began before. At least a
    /// lease, because a commit may be repeated for that long, and must find the version that it made.
    #[serde(rename = "garbage_grace_ms", with = "millis")]
    pub garbage_grace: Duration,
    /// How long after its grant an under-replicated block is not repaired: its pipeline may still be running, and the next
    /// heartbeats may report replicas that the gateway did not know of.
    #[serde(rename = "repair_grace_ms", with = "millis")]
    pub repair_grace: Duration,
    /// The largest age of a block report when it arrives. Replicas that were stored since are not missing. It is as
    /// long as a call between parts may take ([`CALL_TIMEOUT`](cairn_protocol::rpc::CALL_TIMEOUT)).
    #[serde(rename = "report_age_ms", with = "millis")]
    pub report_age: Duration,
    /// How often each datanode sends a full block report, page by page, so that an unnoticed difference between disks and
    /// SQL does not last. A day costs a node with 10⁷ blocks a page every
    /// 40 seconds. Zero: only when it registers.
    #[serde(rename = "report_interval_ms", with = "millis")]
    pub report_interval: Duration,
    /// How long a datanode may take for a command before the work is planned again. The largest block over a
    /// 100 Mbit/s link takes 20 seconds, and several may wait in line.
    #[serde(rename = "command_deadline_ms", with = "millis")]
    pub command_deadline: Duration,
    /// Bytes per second that repair copies in the whole cluster, so that clients keep most of the network. A small
    /// block counts as [`COPY_COST_MIN`](cairn_planner::budget::COPY_COST_MIN) here and in the next two, because its
    /// copy costs syncs and rows whatever its length.
    pub repair_rate: u64,
    /// Bytes per second that moves off draining nodes copy in the whole cluster.
    pub drain_rate: u64,
    /// Bytes per second that balancing moves in the whole cluster: less than repair, because no block is in danger.
    pub balance_rate: u64,
    /// How far a node's utilisation may differ from the mean before blocks are moved, in thousandths of the mean.
    pub balance_threshold_permille: u32,
    /// Bytes that one node may be copying for repair at the same time, as reader and writer: what it can copy within a
    /// few heartbeats. A single larger block is copied too; of small blocks there are at most
    /// [`COPIES_MAX`](cairn_planner::budget::COPIES_MAX).
    pub repair_in_flight: u64,
    /// The interval in which every block is examined for problems that no event put into the repair queue: above all,
    /// replicas that could be spread better over the zones since nodes joined or moved. With 10⁷ blocks, a day costs
    /// 120 blocks a second. 0 means never.
    #[serde(rename = "placement_walk_ms", with = "millis")]
    pub placement_walk: Duration,
    /// The replicas that one command deletes. It bounds a datanode's time in one command.
    pub delete_batch: u32,
    /// The interval in which workers look for work of which no event informed them.
    #[serde(rename = "worker_interval_ms", with = "millis")]
    pub worker_interval: Duration,
    /// How long the result of a completed multipart upload is kept for clients that repeat the request.
    #[serde(rename = "completed_uploads_kept_ms", with = "millis")]
    pub completed_uploads_kept: Duration,
    /// How long an upload in progress may get no part before it is aborted and its bytes deleted; 0 means for ever.
    /// Counted from its last part, or from its creation before the first one.
    #[serde(rename = "upload_expiry_ms", with = "millis")]
    pub upload_expiry: Duration,
    /// The length of the packs that small objects are moved into, in bytes: large enough that what a block costs is nothing beside
    /// it, and small enough to be copied within a second.
    pub pack_size: u64,
    /// How long after its write an object may be moved into a pack. Many small objects live for minutes only, and moving them would
    /// be in vain.
    #[serde(rename = "pack_age_ms", with = "millis")]
    pub pack_age: Duration,
    /// The interval of walks over all objects for those to move, when there may be enough of them for a pack; 0 means never.
    /// Otherwise there is a walk a day, which finds packs that have become sparse.
    #[serde(rename = "pack_interval_ms", with = "millis")]
    pub pack_interval: Duration,
    /// Bytes per second that are moved into packs in the whole cluster.
    pub pack_rate: u64,
    /// The length of a day of lifecycle rules. Shorter ones are for tests, which then see in seconds what takes days.
    #[serde(rename = "lifecycle_day_ms", with = "millis")]
    pub lifecycle_day: Duration,
}

impl Default for BlockManagerConfig {
    fn default() -> Self {
        Self {
            replication: 3,
            min_replicas: 2,
            storage_classes: BTreeMap::from([("REDUCED_REDUNDANCY".to_owned(), 2)]),
            block_size: 8 << 20,
            heartbeat_interval: Duration::from_secs(3),
            stale_after: Duration::from_secs(10),
            dead_after: Duration::from_secs(300),
            lease: Duration::from_secs(600),
            lease_slack: Duration::from_secs(60),
            garbage_grace: Duration::from_secs(600),
            repair_grace: Duration::from_secs(10),
            report_age: Duration::from_secs(30),
            report_interval: Duration::from_secs(24 * 3600),
            command_deadline: Duration::from_secs(120),
            repair_rate: 128 << 20,
            drain_rate: 128 << 20,
            balance_rate: 32 << 20,
            balance_threshold_permille: 100,
            repair_in_flight: 64 << 20,
            placement_walk: Duration::from_secs(24 * 3600),
            delete_batch: 1_000,
            worker_interval: Duration::from_secs(1),
            completed_uploads_kept: Duration::from_secs(7 * 24 * 3600),
            upload_expiry: Duration::from_secs(7 * 24 * 3600),
            pack_size: 16 << 20,
            pack_age: Duration::from_secs(600),
            pack_interval: Duration::from_secs(600),
            pack_rate: 32 << 20,
            lifecycle_day: Duration::from_secs(24 * 3600),
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{setting} {problem}")]
pub struct ConfigError {
    /// The setting's name.
    pub setting: &'static str,
    /// Why it cannot be used.
    pub problem: &'static str,
}

/// A replication above this is taken for a typing error: each replica costs the whole length of the block.
pub(super) const REPLICATION_MAX: u32 = 16;

impl BlockManagerConfig {
    /// Checks the settings, alone and against each other.
    ///
    /// # Errors
    /// The first setting that cannot be used, and why.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let replications = || self.storage_classes.values().chain([&self.replication]);
        let checks = [
            ("replication", "must be from 1 to 16", replications().all(|copies| is_replication(*copies))),
            (
                "storage_classes",
                "must have names of A-Z, 0-9 and _, and not STANDARD, which has `replication` copies",
                self.storage_classes.keys().all(|name| is_class_name(name)),
            ),
            (
                "min_replicas",
                "must be from 1 to replication",
                (1..=self.replication).contains(&self.min_replicas),
            ),
            (
                "block_size",
                "must be from 64 KiB to 256 MiB",
                (BLOCK_SIZE_MIN..=BLOCK_LENGTH_MAX).contains(&self.block_size),
            ),
            ("heartbeat_interval_ms", "must be above 0", !self.heartbeat_interval.is_zero()),
            (
                "stale_after_ms",
                "must be longer than heartbeat_interval_ms",
                self.stale_after > self.heartbeat_interval,
            ),
            ("dead_after_ms", "must be longer than stale_after_ms", self.dead_after > self.stale_after),
            ("lease_ms", "must be above 0", !self.lease.is_zero()),
            (
                "garbage_grace_ms",
                "must be at least lease_ms: a commit may be repeated for so long, and must find what it made",
                self.garbage_grace >= self.lease,
            ),
            (
                "report_age_ms",
                "must be longer than heartbeat_interval_ms: what a report does not name yet, the next heartbeat tells",
                self.report_age > self.heartbeat_interval,
            ),
            (
                "command_deadline_ms",
                "must be longer than heartbeat_interval_ms: a heartbeat tells that a command is done",
                self.command_deadline > self.heartbeat_interval,
            ),
            (
                "completed_uploads_kept_ms",
                "must be at least lease_ms: a completion may be repeated for as long as any other commit",
                self.completed_uploads_kept >= self.lease,
            ),
            ("repair_rate", "must be above 0", self.repair_rate > 0),
            ("drain_rate", "must be above 0", self.drain_rate > 0),
            ("balance_rate", "must be above 0", self.balance_rate > 0),
            (
                "balance_threshold_permille",
                "must be from 1 to 1000",
                (1..=1_000).contains(&self.balance_threshold_permille),
            ),
            ("pack_rate", "must be above 0", self.pack_rate > 0),
            ("pack_size", "must be from 1 MiB to 64 MiB", (1 << 20..=64 << 20).contains(&self.pack_size)),
            ("delete_batch", "must be above 0", self.delete_batch > 0),
            ("worker_interval_ms", "must be above 0", !self.worker_interval.is_zero()),
            (
                "lifecycle_day_ms",
                "must be from 1 ms to a day",
                (1..=24 * 3600 * 1000).contains(&self.lifecycle_day.as_millis()),
            ),
        ];
        match checks.into_iter().find(|(_, _, holds)| !holds) {
            Some((setting, problem, _)) => Err(ConfigError { setting, problem }),
            None => Ok(()),
        }
    }

    /// The replication of a block with this storage class, in a bucket whose own replication is `bucket`.
    pub(super) fn replication_of(&self, storage_class: Option<&str>, bucket: Option<u32>) -> u32 {
        let by_class = storage_class.and_then(|class| self.storage_classes.get(class)).copied();
        by_class.or(bucket).unwrap_or(self.replication)
    }

    /// The largest replication in the configuration.
    pub(super) fn replication_max(&self) -> u32 {
        self.storage_classes.values().copied().fold(self.replication, u32::max)
    }
}

/// Whether a storage class has a name in the style of AWS's own; gateways accept no others. STANDARD is excluded,
/// because it means no class at all.
fn is_class_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(is_part) && name != "STANDARD"
}

pub(super) fn is_replication(copies: u32) -> bool {
    (1..=REPLICATION_MAX).contains(&copies)
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work() {
        assert_eq!(BlockManagerConfig::default().validate(), Ok(()));
    }

    #[test]
    fn durations_are_written_in_milliseconds_and_unknown_settings_are_refused() {
        let config: BlockManagerConfig = serde_json::from_str(r#"{"stale_after_ms": 20000}"#).unwrap();
        assert_eq!(config.stale_after, Duration::from_secs(20));
        assert!(serde_json::from_str::<BlockManagerConfig>(r#"{"stale_after": 20}"#).is_err());
    }

    #[test]
    fn a_setting_that_cannot_work_is_named() {
        let setting = |config: BlockManagerConfig| config.validate().unwrap_err().setting;
        let default = BlockManagerConfig::default;
        assert_eq!(setting(BlockManagerConfig { replication: 0, ..default() }), "replication");
        for name in ["", "archive", "A B", "STANDARD"] {
            let storage_classes = BTreeMap::from([(name.to_owned(), 1)]);
            assert_eq!(setting(BlockManagerConfig { storage_classes, ..default() }), "storage_classes");
        }
        assert_eq!(setting(BlockManagerConfig { min_replicas: 4, ..default() }), "min_replicas");
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        for (name, config) in [
            ("dead_after_ms", BlockManagerConfig { dead_after: second, ..default() }),
            ("stale_after_ms", BlockManagerConfig { heartbeat_interval: hour, ..default() }),
            ("garbage_grace_ms", BlockManagerConfig { garbage_grace: second, ..default() }),
            ("garbage_grace_ms", BlockManagerConfig { lease: hour, ..default() }),
            ("report_age_ms", BlockManagerConfig { report_age: second, ..default() }),
            ("command_deadline_ms", BlockManagerConfig { command_deadline: second, ..default() }),
            ("completed_uploads_kept_ms", BlockManagerConfig { completed_uploads_kept: second, ..default() }),
            ("lease_ms", BlockManagerConfig { lease: Duration::ZERO, ..default() }),
        ] {
            assert_eq!(setting(config), name);
        }
    }
}

//! Options of the block manager, and their conversion to its configuration.

use std::time::Duration;

use bytesize::ByteSize;
use cairn_metanode::block_manager::BlockManagerConfig;
use clap::Args;

use super::values::{
    Permille, StorageClass, block_size, duration, duration_or_zero, percentage, rate, size, storage_class,
};

/// Options of the block manager.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Blocks")]
pub(crate) struct BlockArguments {
    /// Replicas of each block; with fewer datanodes, one on each
    #[arg(long, env = "CAIRN_REPLICATION", default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub replication: u32,

    /// Replicas on stable storage before a write is acknowledged; by default 2, or 1 where there is only one datanode
    #[arg(long, env = "CAIRN_MIN_REPLICAS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub min_replicas: Option<u32>,

    /// Replicas of objects of a storage class (`x-amz-storage-class`); may be given several times
    #[arg(
        long,
        env = "CAIRN_STORAGE_CLASS",
        default_value = "REDUCED_REDUNDANCY=2",
        value_name = "NAME=REPLICAS",
        value_delimiter = ',',
        value_parser = storage_class
    )]
    pub storage_class: Vec<StorageClass>,

    /// Size of blocks, 64KiB to 256MiB; larger for huge objects
    #[arg(long, env = "CAIRN_BLOCK_SIZE", default_value = "8MiB", value_name = "SIZE", value_parser = block_size)]
    pub block_size: ByteSize,

    /// Interval of the datanodes' heartbeats
    #[arg(long, env = "CAIRN_HEARTBEAT_INTERVAL", default_value = "3s", value_name = "TIME", value_parser = duration)]
    pub heartbeat_interval: Duration,

    /// After this time without contact a datanode is stale: no new blocks, read last
    #[arg(long, env = "CAIRN_STALE_AFTER", default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub stale_after: Duration,

    /// After this time without contact a datanode is dead: its blocks are copied again from elsewhere
    #[arg(long, env = "CAIRN_DEAD_AFTER", default_value = "5m", value_name = "TIME", value_parser = duration)]
    pub dead_after: Duration,

    /// How long the bytes of deleted and overwritten objects are kept for reads that began before; at least --lease
    #[arg(long, env = "CAIRN_GC_GRACE", default_value = "10m", value_name = "TIME", value_parser = duration)]
    pub gc_grace: Duration,

    /// Bytes a second that repair may copy in the whole cluster; here and below, a block of less than 256 KiB counts as 256 KiB
    #[arg(long, env = "CAIRN_REPAIR_RATE", default_value = "128MiB", value_name = "SIZE", value_parser = rate)]
    pub repair_rate: ByteSize,

    /// Bytes a second that may be copied off draining datanodes in the whole cluster
    #[arg(long, env = "CAIRN_DRAIN_RATE", default_value = "128MiB", value_name = "SIZE", value_parser = rate)]
    pub drain_rate: ByteSize,

    /// Bytes a second that balancing may move in the whole cluster, unless `cairn admin balance` sets another rate
    #[arg(long, env = "CAIRN_BALANCE_RATE", default_value = "32MiB", value_name = "SIZE", value_parser = rate)]
    pub balance_rate: ByteSize,

    /// Bytes a second of small objects that may be moved together into packs in the whole cluster
    #[arg(long, env = "CAIRN_PACK_RATE", default_value = "32MiB", value_name = "SIZE", value_parser = rate)]
    pub pack_rate: ByteSize,

    /// How far from the mean utilisation a datanode may be before blocks are moved, as a share of the mean
    #[arg(long, env = "CAIRN_BALANCE_THRESHOLD", default_value = "10%", value_name = "SHARE", value_parser = percentage)]
    pub balance_threshold: Permille,

    /// Time without a new part after which a multipart upload is given up and its parts are deleted; 0: never
    #[arg(long, env = "CAIRN_UPLOAD_EXPIRY", default_value = "7d", value_name = "TIME", value_parser = duration_or_zero)]
    pub upload_expiry: Duration,

    #[command(flatten)]
    pub advanced: AdvancedBlockArguments,
}

/// Options that only the long help (`--help`) shows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Blocks, advanced")]
pub(crate) struct AdvancedBlockArguments {
    /// How long a grant to store a block lasts without renewal
    #[arg(long, env = "CAIRN_LEASE", default_value = "10m", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub lease: Duration,

    /// How long after its lease a block that was not committed is deleted
    #[arg(long, env = "CAIRN_LEASE_SLACK", default_value = "1m", value_name = "TIME", value_parser = duration_or_zero, hide_short_help = true)]
    pub lease_slack: Duration,

    /// How long repair leaves a new block with too few replicas alone, because its upload may still be writing them
    #[arg(long, env = "CAIRN_REPAIR_GRACE", default_value = "10s", value_name = "TIME", value_parser = duration_or_zero, hide_short_help = true)]
    pub repair_grace: Duration,

    /// Bytes that one datanode may copy for repair at the same time, in at most 256 blocks
    #[arg(long, env = "CAIRN_REPAIR_IN_FLIGHT", default_value = "64MiB", value_name = "SIZE", value_parser = size, hide_short_help = true)]
    pub repair_in_flight: ByteSize,

    /// Period in which each block is checked once for replicas that are badly spread over zones; 0s: never
    #[arg(long, env = "CAIRN_PLACEMENT_WALK", default_value = "1d", value_name = "TIME", value_parser = duration_or_zero, hide_short_help = true)]
    pub placement_walk: Duration,

    /// How old a block report may be when it arrives; blocks that were committed within this time do not count as missing
    #[arg(long, env = "CAIRN_REPORT_AGE", default_value = "30s", value_name = "TIME", value_parser = duration_or_zero, hide_short_help = true)]
    pub report_age: Duration,

    /// Period in which each datanode reports all its replicas again, page by page; 0s: only when it registers
    #[arg(long, env = "CAIRN_REPORT_INTERVAL", default_value = "1d", value_name = "TIME", value_parser = duration_or_zero, hide_short_help = true)]
    pub report_interval: Duration,

    /// How long a datanode may take for a command before its work is planned again
    #[arg(long, env = "CAIRN_COMMAND_DEADLINE", default_value = "2m", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub command_deadline: Duration,

    /// Upper limit of replicas that one command deletes
    #[arg(long, env = "CAIRN_DELETE_BATCH", default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    pub delete_batch: u32,

    /// How often background workers look for work without being woken
    #[arg(long, env = "CAIRN_WORKER_INTERVAL", default_value = "1s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub worker_interval: Duration,

    /// Size of the packs that small objects are moved into, 1MiB to 64MiB
    #[arg(long, env = "CAIRN_PACK_SIZE", default_value = "16MiB", value_name = "SIZE", value_parser = size, hide_short_help = true)]
    pub pack_size: ByteSize,

    /// How old a small object is before it may be moved into a pack
    #[arg(long, env = "CAIRN_PACK_AGE", default_value = "10m", value_name = "TIME", value_parser = duration_or_zero, hide_short_help = true)]
    pub pack_age: Duration,

    /// How often small objects are looked for to move into packs, when there are new ones; 0s: never
    #[arg(long, env = "CAIRN_PACK_INTERVAL", default_value = "10m", value_name = "TIME", value_parser = duration_or_zero, hide_short_help = true)]
    pub pack_interval: Duration,

    /// How long the outcome of a completed multipart upload is kept for clients that repeat the completion
    #[arg(long, env = "CAIRN_COMPLETED_UPLOADS_KEPT", default_value = "7d", value_name = "TIME", value_parser = duration_or_zero, hide_short_help = true)]
    pub completed_uploads_kept: Duration,

    /// Length of a day of lifecycle rules, at most a day; shorter ones are for tests, and expire objects early
    #[arg(long, env = "CAIRN_LIFECYCLE_DAY", default_value = "1d", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub lifecycle_day: Duration,
}

impl BlockArguments {
    /// Replicas that a write needs: the option, or else two, or one with a replication of one.
    pub(crate) fn min_replicas(&self) -> u32 {
        self.min_replicas.unwrap_or(BlockManagerConfig::default().min_replicas.min(self.replication))
    }

    /// The metanode's configuration.
    ///
    /// # Errors
    /// When settings contradict each other. The error names the options.
    pub(crate) fn config(&self) -> anyhow::Result<BlockManagerConfig> {
        let advanced = &self.advanced;
        let classes = self.storage_class.iter().map(|class| (class.name.clone(), class.replicas));
        let config = BlockManagerConfig {
            replication: self.replication,
            min_replicas: self.min_replicas(),
            storage_classes: classes.collect(),
            block_size: self.block_size.as_u64(),
            heartbeat_interval: self.heartbeat_interval,
            stale_after: self.stale_after,
            dead_after: self.dead_after,
            lease: advanced.lease,
            lease_slack: advanced.lease_slack,
            garbage_grace: self.gc_grace,
            repair_grace: advanced.repair_grace,
            report_age: advanced.report_age,
            report_interval: advanced.report_interval,
            command_deadline: advanced.command_deadline,
            repair_rate: self.repair_rate.as_u64(),
            drain_rate: self.drain_rate.as_u64(),
            balance_rate: self.balance_rate.as_u64(),
            balance_threshold_permille: self.balance_threshold.0,
            pack_size: advanced.pack_size.as_u64(),
            pack_age: advanced.pack_age,
            pack_interval: advanced.pack_interval,
            pack_rate: self.pack_rate.as_u64(),
            repair_in_flight: advanced.repair_in_flight.as_u64(),
            placement_walk: advanced.placement_walk,
            delete_batch: advanced.delete_batch,
            worker_interval: advanced.worker_interval,
            completed_uploads_kept: advanced.completed_uploads_kept,
            upload_expiry: self.upload_expiry,
            lifecycle_day: advanced.lifecycle_day,
        };
        config.validate().map_err(|error| {
            let setting = option_of(error.setting);
            anyhow::anyhow!("--{setting} {}", error.problem.replace("_ms", "").replace('_', "-"))
        })?;
        Ok(config)
    }
}

/// Settings of the block manager whose options have other names: (setting, option).
const OTHER_NAMES: [(&str, &str); 2] = [("garbage-grace", "gc-grace"), ("storage-classes", "storage-class")];

/// The long name of the option that sets a setting of the block manager.
fn option_of(setting: &str) -> String {
    let name = setting.trim_end_matches("_ms").trim_end_matches("_permille").replace('_', "-");
    let renamed = OTHER_NAMES.iter().find(|(setting, _)| *setting == name);
    renamed.map_or(name, |(_, option)| (*option).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::{CommandFactory, Parser};

    fn blocks(line: &[&str]) -> BlockArguments {
        let line = ["cairn", "metanode"].iter().chain(line);
        let Command::Metanode(arguments) = Cli::try_parse_from(line).unwrap().command else { unreachable!() };
        arguments.blocks
    }

    #[test]
    fn the_options_defaults_are_the_block_manager_s() {
        assert_eq!(blocks(&[]).config().unwrap(), BlockManagerConfig::default());
    }

    #[test]
    fn every_setting_of_the_block_manager_has_an_option() {
        let settings = serde_json::to_value(BlockManagerConfig::default()).unwrap();
        for setting in settings.as_object().unwrap().keys() {
            let name = option_of(setting);
            for part in ["server", "metanode"] {
                let command = Cli::command();
                let mut options = command.find_subcommand(part).unwrap().get_arguments();
                assert!(
                    options.any(|option| option.get_long() == Some(name.as_str())),
                    "{part} has no --{name}"
                );
            }
        }
    }

    #[test]
    fn options_reach_the_settings() {
        let config = blocks(&[
            "--replication",
            "5",
            "--storage-class",
            "ARCHIVE=2,HOT=4",
            "--storage-class",
            "ONE=1",
            "--gc-grace",
            "3s",
            "--lease",
            "2s",
            "--lease-slack",
            "0s",
            "--balance-threshold",
            "2.5%",
            "--balance-rate",
            "1MiB/s",
            "--delete-batch",
            "9",
        ])
        .config()
        .unwrap();
        assert_eq!((config.replication, config.min_replicas, config.delete_batch), (5, 2, 9));
        let classes: Vec<_> = config.storage_classes.into_iter().collect();
        assert_eq!(classes, [("ARCHIVE".to_owned(), 2), ("HOT".to_owned(), 4), ("ONE".to_owned(), 1)]);
        assert_eq!((config.garbage_grace, config.lease_slack), (Duration::from_secs(3), Duration::ZERO));
        assert_eq!((config.balance_threshold_permille, config.balance_rate), (25, 1 << 20));
    }

    #[test]
    fn contradicting_settings_are_named_as_options() {
        let complaint = |line: &[&str]| blocks(line).config().unwrap_err().to_string();
        assert_eq!(complaint(&["--dead-after", "1s"]), "--dead-after must be longer than stale-after");
        assert_eq!(
            complaint(&["--replication", "2", "--min-replicas", "3"]),
            "--min-replicas must be from 1 to replication"
        );
        assert_eq!(
            complaint(&["--gc-grace", "1m"]),
            "--gc-grace must be at least lease: a commit may be repeated for so long, and must find what it made"
        );
    }
}

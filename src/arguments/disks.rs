//! Options for a datanode's disks, and their conversion to its configuration.

use std::time::Duration;

use bytesize::ByteSize;
use cairn_datanode::Config;
use clap::Args;

use super::values::{duration, duration_or_zero, rate, size, size_or_zero};

/// Options for a datanode's disks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Disks")]
pub(crate) struct DiskArguments {
    /// Space on each disk that blocks leave free
    #[arg(long, env = "CAIRN_RESERVE", default_value = "256MiB", value_name = "SIZE", value_parser = size_or_zero)]
    pub reserve: ByteSize,

    /// Space of each data directory that blocks may take; by default all of its disk
    #[arg(long, env = "CAIRN_CAPACITY", value_name = "SIZE", value_parser = size)]
    pub capacity: Option<ByteSize>,

    /// How long a deleted block can still be restored; 0: not at all. Its space counts as free and is used when needed
    #[arg(long, env = "CAIRN_TRASH_AGE", default_value = "1d", value_name = "TIME", value_parser = duration_or_zero)]
    pub trash_age: Duration,

    /// Period in which every block is read and checked once
    #[arg(long, env = "CAIRN_SCRUB_PERIOD", default_value = "14d", value_name = "TIME", value_parser = duration)]
    pub scrub_period: Duration,

    /// Bytes a second that this check may read on each disk, even if it then takes longer than its period
    #[arg(long, env = "CAIRN_SCRUB_RATE", default_value = "64MiB", value_name = "SIZE", value_parser = rate)]
    pub scrub_rate: ByteSize,

    #[command(flatten)]
    pub advanced: AdvancedDiskArguments,
}

/// Options that only the long help (`--help`) shows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Disks, advanced")]
pub(crate) struct AdvancedDiskArguments {
    /// Blocks from this size on have a file of their own; smaller ones share files
    #[arg(long, env = "CAIRN_OWN_SEGMENT_MIN", default_value = "1MiB", value_name = "SIZE", value_parser = size, hide_short_help = true)]
    pub own_segment_min: ByteSize,

    /// Size up to which shared files grow, 1MiB to 1GiB
    #[arg(long, env = "CAIRN_SEGMENT_SIZE", default_value = "256MiB", value_name = "SIZE", value_parser = segment_size, hide_short_help = true)]
    pub segment_size: ByteSize,

    /// The index is saved each time this many bytes were stored; a start after a crash reads at most this much again
    #[arg(long, env = "CAIRN_CHECKPOINT_SIZE", default_value = "4GiB", value_name = "SIZE", value_parser = size, hide_short_help = true)]
    pub checkpoint_size: ByteSize,

    /// Blocks received at once; further ones are refused as busy. Each takes up to 2 MiB of memory
    #[arg(long, env = "CAIRN_RECEIVES_MAX", default_value_t = 128, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536), hide_short_help = true)]
    pub receives_max: u32,

    /// Blocks read at once; further reads are refused as busy. Each takes up to 512 KiB of memory
    #[arg(long, env = "CAIRN_READS_MAX", default_value_t = 512, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536), hide_short_help = true)]
    pub reads_max: u32,

    /// Blocks copied from other datanodes at once
    #[arg(long, env = "CAIRN_PULLS_MAX", default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024), hide_short_help = true)]
    pub pulls_max: u32,

    /// How long a sender, or the next datanode of a pipeline, may make no progress
    #[arg(long, env = "CAIRN_STALL_TIMEOUT", default_value = "10s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub stall_timeout: Duration,

    /// How often to probe each disk, and to look for files to compact and for an index to save
    #[arg(long, env = "CAIRN_MAINTENANCE_INTERVAL", default_value = "5s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub maintenance_interval: Duration,

    /// A disk that does not answer a probe within this time has failed
    #[arg(long, env = "CAIRN_PROBE_TIMEOUT", default_value = "2m", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub probe_timeout: Duration,

    /// The shortest time between two attempts to reach the metanode
    #[arg(long, env = "CAIRN_RETRY_DELAY_MIN", default_value = "200ms", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub retry_delay_min: Duration,

    /// The longest time between two attempts to reach the metanode
    #[arg(long, env = "CAIRN_RETRY_DELAY_MAX", default_value = "5s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub retry_delay_max: Duration,
}

/// Parses a segment size. The upper limit keeps positions in a shared segment within 32 bits.
fn segment_size(text: &str) -> Result<ByteSize, String> {
    let size = size(text)?;
    if !(ByteSize::mib(1)..=ByteSize::gib(1)).contains(&size) {
        return Err("allowed is 1MiB to 1GiB".to_owned());
    }
    Ok(size)
}

impl DiskArguments {
    /// Copies the settings into a datanode's configuration.
    ///
    /// # Errors
    /// When settings contradict each other.
    pub(crate) fn apply(&self, config: &mut Config) -> anyhow::Result<()> {
        let advanced = &self.advanced;
        if advanced.own_segment_min > advanced.segment_size {
            anyhow::bail!("--own-segment-min must not be above --segment-size");
        }
        if advanced.retry_delay_min > advanced.retry_delay_max {
            anyhow::bail!("--retry-delay-min must not be above --retry-delay-max");
        }
        config.volume.reserve_bytes = self.reserve.as_u64();
        config.volume.capacity_bytes_max = self.capacity.map(|capacity| capacity.as_u64());
        config.volume.dedicated_segment_bytes_min = advanced.own_segment_min.as_u64();
        config.volume.segment_bytes_max = u32::try_from(advanced.segment_size.as_u64())?;
        config.volume.checkpoint_bytes = advanced.checkpoint_size.as_u64();
        config.volume.trash_age = self.trash_age;
        config.scrub_period = self.scrub_period;
        config.scrub_bytes_per_second_max = self.scrub_rate.as_u64();
        config.receives_max = usize::try_from(advanced.receives_max)?;
        config.reads_max = usize::try_from(advanced.reads_max)?;
        config.pulls_max = usize::try_from(advanced.pulls_max)?;
        config.stall_timeout = advanced.stall_timeout;
        config.maintenance_interval = advanced.maintenance_interval;
        config.probe_timeout = advanced.probe_timeout;
        config.retry_delay = (advanced.retry_delay_min, advanced.retry_delay_max);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use cairn_datanode::volume::VolumeOptions;
    use clap::Parser;

    fn disks(line: &[&str]) -> DiskArguments {
        let line = ["cairn", "datanode"].iter().chain(line);
        let Command::Datanode(arguments) = Cli::try_parse_from(line).unwrap().command else { unreachable!() };
        arguments.disks
    }

    #[test]
    fn the_options_defaults_are_the_datanode_s() {
        let own = Config::new(Vec::new(), String::new());
        let mut config = own.clone();
        config.scrub_period = Duration::ZERO;
        disks(&[]).apply(&mut config).unwrap();
        assert_eq!(format!("{config:?}"), format!("{own:?}"));
    }

    /// The patterns have no `..`, so that this test does not compile after a setting was added without its option.
    #[test]
    fn every_setting_of_the_datanode_has_an_option_that_reaches_it() {
        let mut config = Config::new(Vec::new(), String::new());
        let line = "--capacity 1GiB --reserve 0 --segment-size 2MiB --own-segment-min 64KiB --checkpoint-size 5MiB \
                    --receives-max 6 --reads-max 8 --pulls-max 7 --stall-timeout 9s --scrub-period 10s \
                    --scrub-rate 3MiB/s --maintenance-interval 11s --probe-timeout 12s --trash-age 14s --retry-delay-min 1s \
                    --retry-delay-max 13s";
        disks(&line.split_whitespace().collect::<Vec<_>>()).apply(&mut config).unwrap();
        let Config {
            directories: _,
            address: _,
            zone: _,
            limits: _,
            tls: _,
            volume,
            receives_max,
            reads_max,
            stall_timeout,
            pulls_max,
            scrub_period,
            scrub_bytes_per_second_max,
            maintenance_interval,
            probe_timeout,
            retry_delay,
        } = config;
        let VolumeOptions {
            capacity_bytes_max,
            reserve_bytes,
            dedicated_segment_bytes_min,
            segment_bytes_max,
            checkpoint_bytes,
            trash_age,
        } = volume;
        assert_eq!((capacity_bytes_max, reserve_bytes), (Some(1 << 30), 0));
        assert_eq!(
            (segment_bytes_max, dedicated_segment_bytes_min, checkpoint_bytes),
            (2 << 20, 64 << 10, 5 << 20)
        );
        assert_eq!((receives_max, reads_max, pulls_max), (6, 8, 7));
        assert_eq!((scrub_bytes_per_second_max, retry_delay.0), (3 << 20, Duration::from_secs(1)));
        assert_eq!(
            [stall_timeout, scrub_period, maintenance_interval, probe_timeout, retry_delay.1, trash_age]
                .map(|time| time.as_secs()),
            [9, 10, 11, 12, 13, 14]
        );
    }

    #[test]
    fn contradicting_settings_are_named() {
        let complaint = |line: &[&str]| {
            disks(line).apply(&mut Config::new(Vec::new(), String::new())).unwrap_err().to_string()
        };
        assert!(complaint(&["--own-segment-min", "512MiB"]).contains("--segment-size"));
        assert!(complaint(&["--retry-delay-min", "1m"]).contains("--retry-delay-max"));
    }
}

//! Options for the limits of a listener: connections, times, rates.

use std::time::Duration;

use bytesize::ByteSize;
use cairn_listener::Limits;
use clap::Args;

use super::values::{duration, rate_or_zero, size};

/// The limits of a listener. Only the long help (`--help`) shows these options.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connections, advanced")]
pub(crate) struct ListenerArguments {
    /// Connections at once, 4096 by default and 16384 for a metanode; when more come, those without a request and idle ones are closed to make room
    #[arg(long, env = "CAIRN_CONNECTIONS_MAX", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), hide_short_help = true)]
    pub connections_max: Option<u32>,

    /// Connections of one client address at once; by default half of all on the S3 port, and all on a port for other parts; set it to connections-max if all clients come through one proxy
    #[arg(long, env = "CAIRN_CONNECTIONS_PER_ADDRESS_MAX", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), hide_short_help = true)]
    pub connections_per_address_max: Option<u32>,

    /// How long a TLS handshake may take
    #[arg(long, env = "CAIRN_HANDSHAKE_TIMEOUT", default_value = "10s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub handshake_timeout: Duration,

    /// How long the headers of a request may take
    #[arg(long, env = "CAIRN_HEADER_TIMEOUT", default_value = "20s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub header_timeout: Duration,

    /// How long a connection without a request is kept
    #[arg(long, env = "CAIRN_IDLE_TIMEOUT", default_value = "75s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub idle_timeout: Duration,

    /// How long the body of a request may make no progress
    #[arg(long, env = "CAIRN_BODY_IDLE_TIMEOUT", default_value = "30s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub body_idle_timeout: Duration,

    /// How long a client may leave an answer unread
    #[arg(long, env = "CAIRN_WRITE_STALL_TIMEOUT", default_value = "60s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub write_stall_timeout: Duration,

    /// Least rate at which a client must send or read a body, measured while it is waited for; slower clients are
    /// disconnected; 0: no limit
    #[arg(long, env = "CAIRN_RATE_MIN", default_value = "1KiB/s", value_name = "SIZE", value_parser = rate_or_zero, hide_short_help = true)]
    pub rate_min: ByteSize,

    /// Time of waiting for a client over which its rate is measured
    #[arg(long, env = "CAIRN_RATE_WINDOW", default_value = "60s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub rate_window: Duration,

    /// How long requests in flight may take to finish when the process stops
    #[arg(long, env = "CAIRN_DRAIN_TIMEOUT", default_value = "30s", value_name = "TIME", value_parser = duration, hide_short_help = true)]
    pub drain_timeout: Duration,

    /// Size of a request's line and headers, 64KiB by default and 16KiB on a port for other parts
    #[arg(long, env = "CAIRN_HEADER_SIZE_MAX", value_name = "SIZE", value_parser = header_size, hide_short_help = true)]
    pub header_size_max: Option<ByteSize>,

    /// Headers of a request, 512 by default and 64 on a port for other parts
    #[arg(long, env = "CAIRN_HEADER_COUNT_MAX", value_name = "N", value_parser = clap::value_parser!(u32).range(16..=65_536), hide_short_help = true)]
    pub header_count_max: Option<u32>,

    /// Requests at once on one HTTP/2 connection
    #[arg(long, env = "CAIRN_STREAMS_MAX", default_value_t = 128, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536), hide_short_help = true)]
    pub streams_max: u32,
}

/// Parses a size of heads: at least hyper's smallest buffer, at most more than any client needs.
fn header_size(text: &str) -> Result<ByteSize, String> {
    let size = size(text)?;
    if !(ByteSize::kib(8)..=ByteSize::mib(16)).contains(&size) {
        return Err("allowed is 8KiB to 16MiB".to_owned());
    }
    Ok(size)
}

impl ListenerArguments {
    /// The listener's limits. `own` has the part's defaults for options that are not given.
    ///
    /// # Errors
    /// When a number does not fit this machine's `usize`.
    pub(crate) fn limits(&self, own: &Limits) -> anyhow::Result<Limits> {
        let connections_max = self.connections_max.map_or(Ok(own.connections_max), usize::try_from)?;
        // Half of all connections, if the part's default limit for an address is below its limit for all; else that default.
        let share = match own.connections_per_address_max {
            max if max < own.connections_max => (connections_max / 2).max(1),
            max => max,
        };
        Ok(Limits {
            connections_max,
            connections_per_address_max: self
                .connections_per_address_max
                .map_or(Ok(share), usize::try_from)?,
            handshake_timeout: self.handshake_timeout,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            body_idle_timeout: self.body_idle_timeout,
            write_stall_timeout: self.write_stall_timeout,
            rate_min: self.rate_min.as_u64(),
            rate_window: self.rate_window,
            drain_timeout: self.drain_timeout,
            header_bytes_max: match self.header_size_max {
                Some(size) => usize::try_from(size.as_u64())?,
                None => own.header_bytes_max,
            },
            header_count_max: self.header_count_max.map_or(Ok(own.header_count_max), usize::try_from)?,
            streams_max: self.streams_max,
            http2: own.http2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn the_options_defaults_are_the_listener_s_and_the_part_s_own() {
        let Command::Gateway(arguments) = Cli::try_parse_from(["cairn", "gateway"]).unwrap().command else {
            unreachable!()
        };
        let own = Limits { connections_max: 77, ..Limits::default() };
        assert_eq!(format!("{:?}", arguments.listener.limits(&own).unwrap()), format!("{own:?}"));
        let other = ListenerArguments { connections_max: Some(5), ..arguments.listener };
        let limits = other.limits(&own).unwrap();
        assert_eq!((limits.connections_max, limits.connections_per_address_max), (5, usize::MAX));
        assert_eq!(other.limits(&Limits::public()).unwrap().connections_per_address_max, 2);
    }
}

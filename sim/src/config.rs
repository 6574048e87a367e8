//! How fast, how large and how patient a simulated cluster is.

/// Milliseconds, of simulated time.
pub type Millis = u64;

/// One second.
pub const SECOND: Millis = 1_000;
/// One minute.
pub const MINUTE: Millis = 60 * SECOND;
/// One hour.
pub const HOUR: Millis = 60 * MINUTE;
/// One day.
pub const DAY: Millis = 24 * HOUR;

/// What is the same for a cluster's whole life. The defaults are those of a real metanode.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Between two heartbeats: each message waits for the next one.
    pub heartbeat: Millis,
    /// Silence that makes a node stale.
    pub stale_after: Millis,
    /// Silence that makes a node dead.
    pub dead_after: Millis,
    /// How long a deleted block's replicas are kept.
    pub garbage_grace: Millis,
    /// The deadline of a command, after which it is planned again.
    pub command_deadline: Millis,
    /// A bad replica is found within this.
    pub scrub_period: Millis,
    /// After a failed copy the block rests for so long.
    pub setback: Millis,
    /// How long the balance is left alone before it is looked at again.
    pub balance_interval: Millis,
    /// Bytes a second that one node reads or writes for copies.
    pub bandwidth: u64,
    /// Bytes a second that repair copies in the whole cluster.
    pub repair_rate: u64,
    /// Bytes a second that drain copies in the whole cluster.
    pub drain_rate: u64,
    /// Bytes a second that balancing moves in the whole cluster.
    pub balance_rate: u64,
    /// Bytes that one node may be copying at once.
    pub in_flight: u64,
    /// How far from the mean utilisation a node may be, in thousandths of the mean.
    pub threshold_permille: u32,
    /// Replicas that a write needs to be acknowledged, where there are nodes enough.
    pub min_replicas: u32,
    /// Whether predicted utilisation knows of moves under way.
    pub move_intents: bool,
    /// Whether the balance is kept at all.
    pub balancing: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat: 3 * SECOND,
            stale_after: 10 * SECOND,
            dead_after: 300 * SECOND,
            garbage_grace: 600 * SECOND,
            command_deadline: 120 * SECOND,
            scrub_period: 10 * MINUTE,
            setback: 10 * SECOND,
            balance_interval: 10 * SECOND,
            bandwidth: 100 << 20,
            repair_rate: 128 << 20,
            drain_rate: 128 << 20,
            balance_rate: 32 << 20,
            in_flight: 64 << 20,
            threshold_permille: 100,
            min_replicas: 2,
            move_intents: true,
            balancing: true,
        }
    }
}

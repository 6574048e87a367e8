//! The configuration of a simulated cluster: rates, sizes and times.

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

/// The settings of a cluster. The defaults are those of a real metanode.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The interval of heartbeats. Each message waits for the next one.
    pub heartbeat: Millis,
    /// Time without contact after which a node is stale.
    pub stale_after: Millis,
    /// Time without contact after which a node is dead.
    pub dead_after: Millis,
    /// How long a deleted block's replicas are kept.
    pub garbage_grace: Millis,
    /// Time after which a command is planned again.
    pub command_deadline: Millis,
    /// Time within which a bad replica is found.
    pub scrub_period: Millis,
    /// Time that a block waits after a failed copy.
    pub setback: Millis,
    /// Time between two rounds of balancing.
    pub balance_interval: Millis,
    /// Bytes a second that one node reads or writes for copies.
    pub bandwidth: u64,
    /// Bytes a second that repair copies in the whole cluster.
    pub repair_rate: u64,
    /// Bytes a second that drain copies in the whole cluster.
    pub drain_rate: u64,
    /// Bytes a second that balancing moves in the whole cluster.
    pub balance_rate: u64,
    /// Bytes that one node may be copying at the same time.
    pub in_flight: u64,
    /// How far a node's utilisation may differ from the mean, in thousandths of the mean.
    pub threshold_permille: u32,
    /// Replicas that a write needs to be acknowledged, if there are enough nodes.
    pub min_replicas: u32,
    /// Whether predicted utilisation includes moves under way.
    pub move_intents: bool,
    /// Whether the cluster is balanced.
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

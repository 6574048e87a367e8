//! A cluster that gets new, empty nodes, balanced with moves under way in the prediction, and without.

use crate::cluster::Cluster;
use crate::config::{Config, DAY, Millis};
use crate::tally::Tally;
use rand::RngExt;

const MIB: u64 = 1 << 20;

/// The result of balancing.
#[derive(Clone, Debug)]
pub struct Balanced {
    /// The work that was done.
    pub tally: Tally,
    /// Bytes above the mean in the beginning. At least as many have to move to make all nodes equal.
    pub least: u64,
    /// Whether the cluster came to rest.
    pub rests: bool,
    /// How long it took.
    pub took: Millis,
    /// The number of nodes beyond the threshold in the end.
    pub outside: u32,
    /// The promises that were broken.
    pub violations: Vec<crate::promise::Violation>,
}

/// Fills `nodes` nodes with `blocks` blocks, adds `new` empty nodes, and balances the cluster for at most `time`.
pub fn add_nodes(
    seed: u64,
    nodes: usize,
    new: usize,
    blocks: usize,
    config: Config,
    time: Millis,
) -> Balanced {
    let mut cluster = Cluster::new(Config { balancing: false, ..config }, seed);
    for _ in 0..nodes {
        cluster.place_node(None, &[4 * 1_024 * MIB]);
    }
    for _ in 0..blocks {
        let length = cluster.rng.random_range(4..=16) * MIB;
        cluster.write(length, 3);
    }
    cluster.run_until_quiet(DAY, u64::MAX / 2);
    cluster.config.balancing = config.balancing;
    for _ in 0..new {
        cluster.place_node(None, &[4 * 1_024 * MIB]);
    }
    let least = crate::promise::excess(cluster.view());
    let begin = cluster.now;
    cluster.wake_balance();
    let rests = cluster.run_until_quiet(begin + time, u64::MAX / 2);
    let outside = cairn_planner::balance::survey(cluster.view(), config.threshold_permille).outside;
    if rests {
        cluster.check_rest();
    }
    let took = cluster.now - begin;
    Balanced { tally: cluster.tally, least, rests, took, outside, violations: cluster.violations }
}

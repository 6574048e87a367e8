//! A cluster that gets new, empty nodes: how it is balanced with the knowledge of moves under way, and without.

use crate::cluster::Cluster;
use crate::config::{Config, DAY, Millis};
use crate::tally::Tally;
use rand::RngExt;

const MIB: u64 = 1 << 20;

/// How it went.
#[derive(Clone, Debug)]
pub struct Balanced {
    /// What was done.
    pub tally: Tally,
    /// Bytes above the mean at the beginning: at least this many have to move until all nodes are alike.
    pub least: u64,
    /// Whether it came to rest.
    pub rests: bool,
    /// How long it took.
    pub took: Millis,
    /// How many nodes are beyond the threshold in the end.
    pub outside: u32,
    /// What must not have happened.
    pub violations: Vec<crate::promise::Violation>,
}

/// Fills `nodes` nodes with `blocks` blocks, adds `new` empty nodes, and lets them be balanced for `time` at the longest.
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

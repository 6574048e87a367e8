//! Random histories of small clusters: every kind of event happens, and then the cluster is left alone.

use std::sync::Arc;

use rand::RngExt;
use rand::seq::IndexedRandom;

use crate::cluster::Cluster;
use crate::config::{Config, DAY, MINUTE, Millis, SECOND};
use crate::promise::{Promise, Violation};
use crate::tally::Tally;

const MIB: u64 = 1 << 20;

/// Time for a cluster that is left alone to come to rest. At the slowest rate its bytes are copied within the hour; the
/// rest is for copies that fail and are repeated.
const REST_MAX: Millis = 2 * DAY;

/// Events within that time. A cluster that never comes to rest would have more.
const REST_EVENTS_MAX: u64 = 200_000;

/// Upper limit of nodes; no history needs as many.
const NODES_MAX: usize = 60;

/// The end of a history.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed of the history.
    pub seed: u64,
    /// Counts of what happened and what was done.
    pub tally: Tally,
    /// The promises that were broken.
    pub violations: Vec<Violation>,
}

impl Outcome {
    /// The first promise that was broken, if any, with the seed that shows it again.
    pub fn first_violation(&self) -> Option<String> {
        let violation = self.violations.first()?;
        let promise = violation.promise;
        Some(format!("seed {}, {promise:?}, at {} ms: {}", self.seed, violation.at, violation.text))
    }
}

/// Runs the history of this seed.
pub fn live(seed: u64) -> Outcome {
    let mut history = History::new(seed);
    for _ in 0..history.acts {
        if history.cluster.violations.is_empty() {
            history.act();
        }
    }
    if history.cluster.violations.is_empty() {
        history.leave_alone();
    }
    let mut cluster = history.cluster;
    check_work(&mut cluster);
    Outcome { seed, tally: cluster.tally, violations: cluster.violations }
}

/// Checks that the copied bytes are in proportion to their causes.
///
/// * Repair and drain: one copy for each replica that was lost, or that had to leave a node; and one more for each copy
///   whose end the metanode could not know, because it restarted or gave the command up.
/// * Spread: a replica lands in a crowded zone when it is made, so there is at most one copy for each replica that was
///   made.
/// * Balance: see [`BALANCE_FACTOR`].
fn check_work(cluster: &mut Cluster) {
    let Tally { cause, repaired, drained, spread, moved, written, .. } = cluster.tally;
    let mended = repaired.bytes + drained.bytes;
    let least = cause.lost + cause.drained + cause.forgotten;
    if mended > least {
        cluster.violate(Promise::Work, format!("{mended} bytes copied to mend {least}"));
    }
    let made = mended + written.bytes * 4;
    if spread.bytes > made {
        cluster.violate(Promise::Work, format!("{} bytes copied to spread {made}", spread.bytes));
    }
    if moved.bytes as f64 > BALANCE_FACTOR * (cause.unbalanced + cause.forgotten) as f64 {
        let text = format!("{} bytes moved to balance {}", moved.bytes, cause.unbalanced);
        cluster.violate(Promise::Work, text);
    }
}

/// Upper limit of bytes that are moved for each byte by which a node rose above the mean.
///
/// A block that fits lowers the sum of distances above the mean by its length: factor 1. A block that is larger than
/// what its source has too much, or its target too little, moves if both get nearer to the mean by half; then it lowers
/// the sum by at least a third of its length: factor 3. Between nodes of which the target does not become the fuller
/// one, a move may lower it by less. That is rare, because targets that are furthest below the mean are preferred.
pub const BALANCE_FACTOR: f64 = 3.0;

struct History {
    cluster: Cluster,
    zones: u32,
    acts: u32,
    pause: Millis,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut cluster = Cluster::new(Config::default(), seed);
        let rng = &mut cluster.rng;
        let (nodes, zones) = (rng.random_range(3..=12), rng.random_range(0..=3));
        let (acts, blocks) = (rng.random_range(20..=100), rng.random_range(10..=40));
        let pause = [20 * SECOND, MINUTE, 5 * MINUTE][rng.random_range(0..3)];
        cluster.config.repair_rate = [4 * MIB, 128 * MIB][rng.random_range(0..2)];
        cluster.config.balance_rate = [2 * MIB, 32 * MIB][rng.random_range(0..2)];
        cluster.config.balance_interval = MINUTE;
        cluster.config.in_flight = [16 * MIB, 64 * MIB, 512 * MIB][rng.random_range(0..3)];
        let mut history = Self { cluster, zones, acts, pause };
        for _ in 0..nodes {
            let (zone, volumes) = history.new_node();
            history.cluster.place_node(zone, &volumes);
        }
        for _ in 0..blocks {
            history.write();
        }
        history
    }

    fn new_node(&mut self) -> (Option<Arc<str>>, Vec<u64>) {
        let rng = &mut self.cluster.rng;
        let zone = (self.zones > 0).then(|| Arc::from(format!("zone-{}", rng.random_range(0..self.zones))));
        let volume = rng.random_range(400..=1_200) * MIB;
        (zone, vec![volume; rng.random_range(1..=3)])
    }

    fn write(&mut self) {
        let rng = &mut self.cluster.rng;
        let length = rng.random_range(1..=64) * MIB - rng.random_range(0..MIB);
        let replication = [1, 2, 3, 3, 3, 4][rng.random_range(0..6)];
        self.cluster.write(length, replication);
    }

    /// A random node of this kind, if there is one.
    fn some_node(&mut self, kind: impl Fn(&crate::node::Node) -> bool) -> Option<usize> {
        let nodes = self.cluster.nodes.iter().filter(|node| node.known.registered && kind(node));
        let numbers: Vec<usize> = nodes.map(|node| node.number).collect();
        numbers.choose(&mut self.cluster.rng).copied()
    }

    /// Lets some time pass, and then one random event happen.
    fn act(&mut self) {
        let pause = self.cluster.rng.random_range(0..=self.pause * 2);
        self.cluster.run_until(self.cluster.now + pause);
        self.cluster.measure();
        match self.cluster.rng.random_range(0..100) {
            0..30 => self.write(),
            30..36 => self.delete(),
            36..44 => self.on_some(|node| node.up, Cluster::crash),
            44..60 => self.on_some(|node| !node.up && !node.lost, Cluster::come_back),
            60..63 => self.on_some(
                |node| !node.lost,
                |cluster, node| {
                    cluster.lose(node);
                },
            ),
            63..69 => self.corrupt(),
            69..71 => self.break_volume(),
            71..74 => self.on_some(|_| true, Cluster::drain),
            74..80 => self.on_some(|_| true, Cluster::serve),
            80..83 => {
                let time = self.cluster.rng.random_range(0..=self.pause * 30);
                self.on_some(|_| true, |cluster, node| cluster.maintain(node, time));
            }
            83..87 => {
                let (zone, volumes) = self.new_node();
                self.cluster.join(zone, &volumes);
            }
            87..90 => self.on_some(
                |_| true,
                |cluster, node| {
                    cluster.remove(node);
                },
            ),
            90..93 => self.cluster.restart_metanode(),
            93..95 => self.on_some(|_| true, Cluster::doubt),
            95..97 => self.on_some(|_| true, |cluster, node| cluster.set_failing(node, true)),
            97..99 => {
                self.on_some(|node| node.known.failing, |cluster, node| cluster.set_failing(node, false))
            }
            _ => self.cluster.sweep(),
        }
        self.cluster.tally.cause.unbalanced += self.cluster.measure();
    }

    fn on_some(&mut self, kind: impl Fn(&crate::node::Node) -> bool, act: impl Fn(&mut Cluster, usize)) {
        if let Some(node) = self.some_node(kind) {
            act(&mut self.cluster, node);
        }
    }

    fn delete(&mut self) {
        let blocks = self.cluster.blocks.iter().enumerate().filter(|(_, block)| block.is_kept());
        let numbers: Vec<usize> = blocks.map(|(number, _)| number).collect();
        if let Some(block) = numbers.choose(&mut self.cluster.rng) {
            self.cluster.delete(*block);
        }
    }

    fn corrupt(&mut self) {
        let Some(node) = self.some_node(|node| !node.disk.is_empty()) else { return };
        let at = self.cluster.rng.random_range(0..self.cluster.nodes[node].disk.len());
        let block = self.cluster.nodes[node].disk.keys().nth(at).copied();
        if let Some(block) = block {
            self.cluster.corrupt(node, block);
        }
    }

    fn break_volume(&mut self) {
        if let Some(node) = self.some_node(|node| node.up) {
            let volume = self.cluster.rng.random_range(0..3);
            self.cluster.break_volume(node, volume);
        }
    }

    /// Leaves the cluster alone: lost blocks are deleted, all nodes that can come back do, new nodes join until there
    /// are enough, and nothing else happens.
    fn leave_alone(&mut self) {
        let nodes = || 0..;
        for block in 0..self.cluster.blocks.len() {
            if self.cluster.blocks[block].lost {
                self.cluster.delete(block);
            }
        }
        for node in nodes().take(self.cluster.nodes.len()) {
            self.cluster.come_back(node);
            self.cluster.set_failing(node, false);
            if !matches!(self.cluster.nodes[node].known.admin_state, cairn_types::node::AdminState::Draining)
            {
                self.cluster.serve(node);
            }
        }
        self.rest("everybody came back");
        for node in nodes().take(self.cluster.nodes.len()) {
            self.cluster.remove(node);
        }
        self.enlarge();
        self.cluster.tally.cause.unbalanced += self.cluster.measure();
        self.rest("there were enough nodes");
        // Because of the zones, a full node may be the only one left for a block.
        while !self.cluster.soft_state.stuck.is_empty() && self.cluster.nodes.len() < NODES_MAX {
            let (zone, volumes) = self.new_node();
            self.cluster.join(zone, &volumes);
            self.cluster.tally.cause.unbalanced += self.cluster.measure();
            self.rest("another node came");
        }
        self.cluster.sweep();
        self.rest("everything was looked at");
        self.cluster.check_rest();
        let (ordered, dropped) = (self.cluster.tally.ordered, self.cluster.tally.dropped);
        self.cluster.sweep();
        self.cluster.wake_balance();
        self.rest("everything was looked at again");
        if (ordered, dropped) != (self.cluster.tally.ordered, self.cluster.tally.dropped) {
            self.cluster.violate(Promise::Rest, "it did not stay at rest".to_owned());
        }
    }

    fn rest(&mut self, after: &str) {
        let end = self.cluster.now + REST_MAX;
        if !self.cluster.run_until_quiet(end, REST_EVENTS_MAX) {
            self.cluster.violate(Promise::Rest, format!("no rest after {after}"));
        }
    }

    /// Adds nodes until each block can have its replicas, and a third of the space is free.
    fn enlarge(&mut self) {
        loop {
            let serving = self.cluster.nodes.iter().filter(|node| node.is_sure(self.cluster.now));
            let (nodes, space) =
                serving.fold((0, 0), |(nodes, space), node| (nodes + 1, space + node.capacity()));
            let kept = self.cluster.blocks.iter().filter(|block| block.is_kept());
            let needed: u64 = kept.map(|block| block.length * u64::from(block.replication)).sum();
            if nodes >= 5 && space / 3 * 2 >= needed {
                return;
            }
            let (zone, volumes) = self.new_node();
            self.cluster.join(zone, &volumes);
        }
    }
}

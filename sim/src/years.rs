//! Years of failures in a large cluster.

use std::sync::Arc;

use rand::RngExt;

use crate::cluster::Cluster;
use crate::config::{Config, DAY, HOUR, MINUTE, Millis};
use crate::soft_state::Purpose;
use crate::tally::Tally;

const GIB: u64 = 1 << 30;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Nodes in the beginning.
    pub nodes: usize,
    /// Zones that they are spread over; none with 0.
    pub zones: usize,
    /// Blocks in the beginning; each stands for many, and is 8 GiB to 64 GiB long.
    pub blocks: usize,
    /// For how long.
    pub days: u64,
    /// How often a node crashes in a year, to come back within minutes or hours.
    pub crashes_a_year: f64,
    /// How often a node is lost in a year, to be replaced by a new one some hours later.
    pub losses_a_year: f64,
    /// How often a node goes into maintenance in a year.
    pub maintenances_a_year: f64,
    /// How often a node is drained, removed and replaced in a year.
    pub drains_a_year: f64,
    /// Replicas of a node that go bad in a year.
    pub corruptions_a_year: f64,
    /// Blocks written in a day, and as many deleted.
    pub writes_a_day: f64,
    /// How often the metanode restarts in a year.
    pub restarts_a_year: f64,
}

impl Plan {
    /// A cluster of so many nodes, with failures as they are seen in the field.
    pub fn new(nodes: usize, days: u64) -> Self {
        Self {
            nodes,
            zones: (nodes / 40).clamp(1, 50),
            blocks: nodes * 20,
            days,
            crashes_a_year: 4.0,
            losses_a_year: 0.1,
            maintenances_a_year: 1.0,
            drains_a_year: 0.1,
            corruptions_a_year: 1.0,
            writes_a_day: nodes as f64 / 50.0,
            restarts_a_year: 12.0,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Story {
    /// The cluster in the end.
    pub cluster: Cluster,
    /// The most blocks that lacked replicas at the end of a day.
    pub lacking_max: usize,
    /// How long it took to come to rest after the last failure, if it did.
    pub rest: Option<Millis>,
}

/// How things are in a large cluster: blocks stand for many, so commands take hours; everything else is
/// looked at less often than in a real one, for years have many seconds.
fn config() -> Config {
    Config {
        bandwidth: 500 << 20,
        repair_rate: 20 * GIB,
        drain_rate: 10 * GIB,
        balance_rate: 5 * GIB,
        in_flight: 2_048 * GIB,
        command_deadline: 6 * HOUR,
        balance_interval: 6 * HOUR,
        garbage_grace: HOUR,
        scrub_period: 14 * DAY,
        setback: MINUTE,
        ..Config::default()
    }
}

/// Something that happens to some node now and then, and its rate.
type Kind = (f64, fn(&mut Fate));

struct Fate {
    cluster: Cluster,
    plan: Plan,
    /// Nodes that are to come back, or be replaced, and when.
    returns: std::collections::BTreeMap<Millis, Vec<Return>>,
}

enum Return {
    Restart(usize),
    Replace(usize),
    Retire(usize),
}

/// Lives through the years of this seed. `each_day` hears of every day's end.
pub fn live(plan: Plan, seed: u64, mut each_day: impl FnMut(u64, &Cluster)) -> Story {
    let mut fate =
        Fate { cluster: Cluster::new(config(), seed), plan, returns: std::collections::BTreeMap::new() };
    for _ in 0..plan.nodes {
        fate.new_node(false);
    }
    for _ in 0..plan.blocks {
        fate.write();
    }
    let kinds = fate.kinds();
    let total: f64 = kinds.iter().map(|(rate, _)| rate).sum();
    let (mut day, mut lacking_max) = (0, 0);
    let mut next = fate.pause(total);
    while day < plan.days {
        let day_ends = (day + 1) * DAY;
        let returns = fate.returns.keys().next().copied().unwrap_or(Millis::MAX);
        let until = next.min(day_ends).min(returns);
        fate.cluster.run_until(until);
        if until == returns {
            fate.give_back(until);
        } else if until == next {
            let mut point = fate.cluster.rng.random_range(0.0..total);
            let kind = kinds.iter().find(|(rate, _)| {
                point -= rate;
                point < 0.0
            });
            if let Some((_, happen)) = kind {
                happen(&mut fate);
            }
            next = until + fate.pause(total);
        } else {
            day += 1;
            lacking_max = lacking_max.max(fate.cluster.lacking());
            if day % 7 == 0 {
                fate.cluster.sweep();
            }
            each_day(day, &fate.cluster);
        }
    }
    let rest = fate.end();
    Story { cluster: fate.cluster, lacking_max, rest }
}

impl Fate {
    fn kinds(&self) -> Vec<Kind> {
        let plan = &self.plan;
        let (nodes, year) = (plan.nodes as f64, 365.0 * DAY as f64);
        vec![
            (plan.crashes_a_year * nodes / year, Self::crash),
            (plan.losses_a_year * nodes / year, Self::lose),
            (plan.maintenances_a_year * nodes / year, Self::maintain),
            (plan.drains_a_year * nodes / year, Self::drain),
            (plan.corruptions_a_year * nodes / year, Self::corrupt),
            (plan.writes_a_day / DAY as f64, Self::write),
            (plan.writes_a_day / DAY as f64, Self::delete),
            (plan.restarts_a_year / year, |fate| fate.cluster.restart_metanode()),
        ]
    }

    /// Until the next of events that come at this rate, each independent of the others.
    fn pause(&mut self, rate: f64) -> Millis {
        let chance: f64 = self.cluster.rng.random_range(f64::MIN_POSITIVE..1.0);
        (-chance.ln() / rate) as Millis + 1
    }

    fn new_node(&mut self, joins: bool) {
        let number = self.cluster.nodes.len();
        let zones = self.plan.zones;
        let zone = (zones > 0).then(|| Arc::from(format!("rack-{}", number % zones)));
        let volumes = [1_024 * GIB; 4];
        if joins {
            self.cluster.join(zone, &volumes);
        } else {
            self.cluster.place_node(zone, &volumes);
        }
    }

    fn running(&mut self) -> Option<usize> {
        let nodes = self.cluster.nodes.len();
        let numbers = (0..64).map(|_| self.cluster.rng.random_range(0..nodes)).collect::<Vec<_>>();
        numbers.into_iter().find(|node| {
            let it = &self.cluster.nodes[*node];
            it.up && it.is_sure(self.cluster.now)
        })
    }

    fn later(&mut self, from: Millis, to: Millis, what: Return) {
        let at = self.cluster.now + self.cluster.rng.random_range(from..to);
        self.returns.entry(at).or_default().push(what);
    }

    fn crash(&mut self) {
        if let Some(node) = self.running() {
            self.cluster.crash(node);
            let long = self.cluster.rng.random_bool(0.2);
            let (from, to) = if long { (MINUTE, 24 * HOUR) } else { (MINUTE / 2, 4 * MINUTE) };
            self.later(from, to, Return::Restart(node));
        }
    }

    fn lose(&mut self) {
        if let Some(node) = self.running()
            && self.cluster.lose(node)
        {
            self.later(6 * HOUR, 3 * DAY, Return::Replace(node));
        }
    }

    fn maintain(&mut self) {
        if let Some(node) = self.running() {
            self.cluster.maintain(node, 2 * HOUR);
            self.cluster.crash(node);
            self.later(MINUTE, HOUR, Return::Restart(node));
        }
    }

    fn drain(&mut self) {
        if let Some(node) = self.running() {
            self.cluster.drain(node);
            self.later(DAY, 2 * DAY, Return::Retire(node));
        }
    }

    fn corrupt(&mut self) {
        if let Some(node) = self.running() {
            let copies = self.cluster.nodes[node].disk.len().max(1);
            let at = self.cluster.rng.random_range(0..copies);
            let block = self.cluster.nodes[node].disk.keys().nth(at).copied();
            if let Some(block) = block {
                self.cluster.corrupt(node, block);
            }
        }
    }

    fn write(&mut self) {
        let length = self.cluster.rng.random_range(8..=64) * GIB;
        self.cluster.write(length, 3);
    }

    fn delete(&mut self) {
        let block = self.cluster.rng.random_range(0..self.cluster.blocks.len());
        self.cluster.delete(block);
    }

    fn give_back(&mut self, at: Millis) {
        for what in self.returns.remove(&at).unwrap_or_default() {
            match what {
                Return::Restart(node) => self.cluster.come_back(node),
                Return::Replace(node) => {
                    self.new_node(true);
                    self.cluster.remove(node);
                }
                Return::Retire(node) => {
                    if self.cluster.remove(node) {
                        self.new_node(true);
                    } else if self.cluster.nodes[node].known.registered {
                        self.later(DAY, 2 * DAY, Return::Retire(node));
                    }
                }
            }
        }
    }

    /// All nodes return. Measures the time until nothing is left to do.
    fn end(&mut self) -> Option<Millis> {
        let begin = self.cluster.now;
        for node in 0..self.cluster.nodes.len() {
            self.cluster.come_back(node);
        }
        let quiet = self.cluster.run_until_quiet(begin + 60 * DAY, u64::MAX / 2);
        for node in 0..self.cluster.nodes.len() {
            self.cluster.remove(node);
        }
        self.cluster.sweep();
        let quiet = quiet && self.cluster.run_until_quiet(begin + 90 * DAY, u64::MAX / 2);
        self.cluster.check_rest();
        quiet.then(|| self.cluster.now - begin)
    }
}

impl Cluster {
    /// Blocks for which a copy is under way or waited for, because they lack one.
    pub fn lacking(&self) -> usize {
        let repairs = self.soft_state.intents.values().filter(|intent| intent.purpose == Purpose::Repair);
        repairs.count() + self.soft_state.repairs.len() + self.soft_state.stuck.len()
    }
}

/// What was done, in words with numbers.
pub fn summary(story: &Story) -> String {
    let Tally { written, deleted, crashes, losses, corruptions, restarts, .. } = story.cluster.tally;
    let tally = &story.cluster.tally;
    let row = |name: &str, work: crate::tally::Work| {
        format!(
            "  {name:<34}{:>10} copies {:>12.1} TiB\n",
            work.copies,
            work.bytes as f64 / (GIB * 1_024) as f64
        )
    };
    let tib = |bytes: u64| format!("{:.1} TiB", bytes as f64 / (GIB * 1_024) as f64);
    let mut text = format!(
        "what happened\n  crashes {crashes}, nodes lost {losses}, bad copies {corruptions}, restarts of the metanode \
         {restarts}\n  blocks written {}, deleted {}, writes refused {}\nwhat was done\n",
        written.copies, deleted.copies, tally.refused
    );
    for (name, work) in [
        ("repaired", tally.repaired),
        ("moved off draining nodes", tally.drained),
        ("spread over zones", tally.spread),
        ("moved to balance", tally.moved),
        ("dropped", tally.dropped),
    ] {
        text += &row(name, work);
    }
    let cause = tally.cause;
    text += &format!(
        "what gave cause\n  copies lost {}, on draining nodes {}, commands given up {}\n",
        tib(cause.lost),
        tib(cause.drained),
        tib(cause.forgotten)
    );
    let rest =
        story.rest.map_or("did not come".to_owned(), |rest| format!("{:.1} h", rest as f64 / HOUR as f64));
    text += &format!(
        "in the end\n  rest after {rest}; most blocks that lacked copies at a day's end {}; blocks lost {}\n  \
         promises broken {}; events {}\n",
        story.lacking_max,
        tally.blocks_lost,
        story.cluster.violations.len(),
        tally.events
    );
    text
}

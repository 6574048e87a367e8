//! Years of failures in a large cluster.

use std::sync::Arc;

use rand::RngExt;

use crate::cluster::Cluster;
use crate::config::{Config, DAY, HOUR, MINUTE, Millis};
use crate::soft_state::Purpose;
use crate::tally::Tally;

const GIB: u64 = 1 << 30;

/// The parameters of a simulation.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Nodes in the beginning.
    pub nodes: usize,
    /// Zones that the nodes are spread over; 0 for none.
    pub zones: usize,
    /// Blocks in the beginning. Each stands for many, and has 8 GiB to 64 GiB.
    pub blocks: usize,
    /// The simulated time, in days.
    pub days: u64,
    /// Crashes of a node per year. The node comes back within minutes or hours.
    pub crashes_a_year: f64,
    /// Losses of a node per year. A new node replaces it hours or days later.
    pub losses_a_year: f64,
    /// Maintenances of a node per year.
    pub maintenances_a_year: f64,
    /// Drains of a node per year. The node is removed and replaced.
    pub drains_a_year: f64,
    /// Replicas of a node that become bad per year.
    pub corruptions_a_year: f64,
    /// Blocks that are written per day, and the same number that is deleted.
    pub writes_a_day: f64,
    /// Restarts of the metanode per year.
    pub restarts_a_year: f64,
}

impl Plan {
    /// A cluster of this many nodes, with failure rates as they are seen in the field.
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

/// The result of a simulation.
#[derive(Debug)]
pub struct Story {
    /// The cluster at the end.
    pub cluster: Cluster,
    /// The largest number of blocks that lacked replicas at the end of a day.
    pub lacking_max: usize,
    /// The time from the last failure until the cluster was at rest, if it came to rest.
    pub rest: Option<Millis>,
}

/// The configuration of a large cluster. Blocks stand for many, so commands take hours. Everything else runs less often
/// than in a real cluster, because years have many seconds.
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

/// A kind of event: its rate, and its action.
type Kind = (f64, fn(&mut Fate));

struct Fate {
    cluster: Cluster,
    plan: Plan,
    /// Nodes that come back or are replaced, by time.
    returns: std::collections::BTreeMap<Millis, Vec<Return>>,
}

enum Return {
    Restart(usize),
    Replace(usize),
    Retire(usize),
}

/// Simulates the years of this seed. `each_day` is called at the end of every day.
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

    /// The time until the next of events that come at this rate, independently of each other.
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

    /// Lets all nodes come back that can. Returns the time until the cluster is at rest; `None` if it does not come to
    /// rest.
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
    /// The number of blocks that lack a replica, whether a copy is under way or not.
    pub fn lacking(&self) -> usize {
        let repairs = self.soft_state.intents.values().filter(|intent| intent.purpose == Purpose::Repair);
        repairs.count() + self.soft_state.repairs.len() + self.soft_state.stuck.len()
    }
}

/// A summary of a simulation, as text with numbers.
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

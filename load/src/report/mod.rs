//! The report of a run: its figures, as they are written as JSON, and the page that shows them.

mod charts;
mod compare;
mod page;

use std::collections::BTreeMap;

use serde::Serialize;

pub use compare::{Comparison, Figure};
pub use page::PageError;

use crate::run::{Measured, MeasuredTarget, Round, ServerUse};
use crate::samples::{OperationSamples, Samples, Times};
use crate::workload::Operation;

/// The report of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of the load generator.
    pub version: String,
    /// When the run began, in UTC (RFC 3339).
    pub began_at: String,
    /// What was asked for, in words.
    pub settings: Vec<(String, String)>,
    /// Whether the run was stopped before its end.
    pub was_stopped: bool,
    /// The servers.
    pub targets: Vec<TargetReport>,
    /// Each further server against the first one.
    pub comparisons: Vec<Comparison>,
}

/// What was measured of one server.
#[derive(Clone, Debug, Serialize)]
pub struct TargetReport {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub endpoint: String,
    /// How long it was measured, in seconds.
    pub seconds: f64,
    /// The operations.
    pub operations: Vec<OperationReport>,
    /// CPU and memory of its processes, if they are known.
    pub server: Option<ServerReport>,
    /// Answers that were not what was written.
    pub damage: Vec<String>,
    /// Why not all was deleted that the run wrote.
    pub left: Option<String>,
}

/// What was measured of one operation.
#[derive(Clone, Debug, Serialize)]
pub struct OperationReport {
    /// The operation.
    pub operation: Operation,
    /// Requests that succeeded.
    pub requests: u64,
    /// Objects, keys or versions that they were about.
    pub items: u64,
    /// Bytes of objects that they moved.
    pub bytes: u64,
    /// Requests a second.
    pub requests_per_second: f64,
    /// Items a second.
    pub items_per_second: f64,
    /// Bytes a second.
    pub bytes_per_second: f64,
    /// Failures by their kinds.
    pub failures: BTreeMap<String, u64>,
    /// From the request to the end of the answer.
    pub latency: Option<Percentiles>,
    /// From the request to the first byte of the body, of reads.
    pub first_byte: Option<Percentiles>,
    /// What each second brought.
    pub per_second: Vec<SecondReport>,
    /// The latency's distribution: shares from 0 to 1, and milliseconds.
    pub distribution: Vec<(f64, f64)>,
}

/// Times, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// The mean.
    pub mean: f64,
    /// Half of the requests took this long at most.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

/// What one second brought.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SecondReport {
    /// Requests that succeeded.
    pub requests: u64,
    /// Bytes that they moved.
    pub bytes: u64,
}

/// CPU and memory of a server's processes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerReport {
    /// CPU time, in seconds.
    pub cpu_seconds: f64,
    /// CPU time for each request that succeeded, in microseconds.
    pub cpu_us_per_request: f64,
    /// The most resident memory at any time, in bytes.
    pub memory: u64,
}

/// The shares at which a distribution is drawn: each further point is ten times as near to 1 as the third before.
const SHARES: [f64; 17] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, 1.0];

impl Report {
    /// The report of what was measured, from `began_at` (RFC 3339) on. `settings` say what was asked for.
    pub fn new(measured: &Measured, began_at: String, settings: Vec<(String, String)>) -> Self {
        let targets: Vec<_> = measured.targets.iter().map(TargetReport::new).collect();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            began_at,
            settings,
            was_stopped: measured.was_stopped,
            targets,
            comparisons: compare::all(&measured.targets),
        }
    }

    /// Whether a server returned something else than was written.
    pub fn has_damage(&self) -> bool {
        self.targets.iter().any(|target| !target.damage.is_empty())
    }

    /// How many requests failed.
    pub fn failures(&self) -> u64 {
        let operations = self.targets.iter().flat_map(|target| &target.operations);
        operations.flat_map(|operation| operation.failures.values()).sum()
    }

    /// The report as one HTML page that needs nothing else.
    ///
    /// # Errors
    /// If a chart cannot be drawn.
    pub fn page(&self) -> Result<String, PageError> {
        page::render(self)
    }
}

impl TargetReport {
    fn new(measured: &MeasuredTarget) -> Self {
        let samples = total(&measured.rounds);
        let seconds = samples.lasted.as_secs_f64();
        let requests = requests(&samples);
        let operations = samples.by_operation.iter();
        Self {
            name: measured.target.name.clone(),
            endpoint: measured.target.endpoint.to_string(),
            seconds,
            operations: operations.map(|(of, samples)| OperationReport::new(*of, samples, seconds)).collect(),
            server: server(&measured.rounds).map(|used| ServerReport::new(used, requests)),
            damage: samples.damage,
            left: measured.left.clone(),
        }
    }
}

fn total(rounds: &[Round]) -> Samples {
    let mut total = Samples::default();
    for round in rounds {
        total.follow(round.samples.clone());
    }
    total
}

fn requests(samples: &Samples) -> u64 {
    samples.by_operation.values().map(|operation| operation.requests).sum()
}

fn server(rounds: &[Round]) -> Option<ServerUse> {
    let used = rounds.iter().map(|round| round.server).collect::<Option<Vec<_>>>()?;
    let cpu = used.iter().map(|used| used.cpu).sum();
    Some(ServerUse { cpu, memory: used.iter().map(|used| used.memory).max()? })
}

impl ServerReport {
    fn new(used: ServerUse, requests: u64) -> Self {
        let cpu_seconds = used.cpu.as_secs_f64();
        let cpu_us_per_request = cpu_seconds * 1e6 / requests.max(1) as f64;
        Self { cpu_seconds, cpu_us_per_request, memory: used.memory }
    }
}

impl OperationReport {
    fn new(operation: Operation, samples: &OperationSamples, seconds: f64) -> Self {
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let distribution = SHARES.into_iter().filter(|_| !samples.times.is_empty());
        Self {
            operation,
            requests: samples.requests,
            items: samples.items,
            bytes: samples.bytes,
            requests_per_second: rate(samples.requests),
            items_per_second: rate(samples.items),
            bytes_per_second: rate(samples.bytes),
            failures: samples.failures.clone(),
            latency: Percentiles::of(&samples.times),
            first_byte: Percentiles::of(&samples.first_bytes),
            per_second: samples
                .seconds
                .iter()
                .map(|second| SecondReport { requests: second.requests, bytes: second.bytes })
                .collect(),
            distribution: distribution.map(|share| (share, samples.times.at(share))).collect(),
        }
    }
}

impl Percentiles {
    fn of(times: &Times) -> Option<Self> {
        (!times.is_empty()).then(|| Self {
            mean: times.mean(),
            p50: times.at(0.5),
            p90: times.at(0.9),
            p99: times.at(0.99),
            p99_9: times.at(0.999),
            max: times.max(),
        })
    }
}

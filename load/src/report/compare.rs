//! Servers next to each other: the figures of each round as ratios to those of the first server in the same round.

use serde::Serialize;

use super::requests;
use crate::run::{MeasuredTarget, Round};
use crate::samples::OperationSamples;
use crate::workload::Operation;

/// A figure that servers are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Requests a second: more is better.
    RequestsPerSecond,
    /// The median of latency: less is better.
    LatencyP50,
    /// The 99th percentile of latency: less is better.
    LatencyP99,
    /// CPU time of the server for each request, of all operations: less is better.
    ServerCpuPerRequest,
}

impl Figure {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests/s",
            Self::LatencyP50 => "p50",
            Self::LatencyP99 => "p99",
            Self::ServerCpuPerRequest => "server CPU/request",
        }
    }
}

/// The ratios of one server's figure to the first server's, pair by pair.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The server.
    pub target: String,
    /// The first server.
    pub against: String,
    /// The operation; `None` for a figure of all operations.
    pub operation: Option<Operation>,
    /// The figure.
    pub figure: Figure,
    /// The median of the pairs' ratios.
    pub median: f64,
    /// A quarter of them is below.
    pub low: f64,
    /// A quarter of them is above.
    pub high: f64,
    /// The ratio of each round.
    pub pairs: Vec<f64>,
}

/// Each further server against the first one.
pub(super) fn all(targets: &[MeasuredTarget]) -> Vec<Comparison> {
    let Some((first, others)) = targets.split_first() else { return Vec::new() };
    others.iter().flat_map(|other| of_pair(first, other)).collect()
}

fn of_pair(first: &MeasuredTarget, other: &MeasuredTarget) -> Vec<Comparison> {
    let operations: Vec<_> =
        first.rounds.iter().flat_map(|round| round.samples.by_operation.keys().copied()).collect();
    let mut found = Vec::new();
    for operation in Operation::ALL.into_iter().filter(|operation| operations.contains(operation)) {
        for figure in [Figure::RequestsPerSecond, Figure::LatencyP50, Figure::LatencyP99] {
            let of = |round: &Round| {
                let samples = round.samples.by_operation.get(&operation)?;
                Some(of_operation(figure, samples, round.samples.lasted.as_secs_f64()))
            };
            found.extend(ratios(first, other, Some(operation), figure, of));
        }
    }
    let cpu = |round: &Round| {
        let requests = requests(&round.samples);
        let used = round.server?;
        (requests > 0).then(|| used.cpu.as_secs_f64() / requests as f64)
    };
    found.extend(ratios(first, other, None, Figure::ServerCpuPerRequest, cpu));
    found
}

fn of_operation(figure: Figure, samples: &OperationSamples, seconds: f64) -> f64 {
    match figure {
        Figure::LatencyP50 => samples.times.at(0.5),
        Figure::LatencyP99 => samples.times.at(0.99),
        Figure::RequestsPerSecond | Figure::ServerCpuPerRequest => samples.requests as f64 / seconds,
    }
}

/// The ratios of a figure; `None` if no round has it on both servers.
fn ratios(
    first: &MeasuredTarget,
    other: &MeasuredTarget,
    operation: Option<Operation>,
    figure: Figure,
    of: impl Fn(&Round) -> Option<f64>,
) -> Option<Comparison> {
    let pairs = first.rounds.iter().zip(&other.rounds);
    let pairs = pairs.filter_map(|(first, other)| Some(of(other)? / of(first)?));
    let pairs: Vec<f64> = pairs.filter(|ratio| ratio.is_finite()).collect();
    let mut sorted = pairs.clone();
    sorted.sort_by(f64::total_cmp);
    let [low, median, high] = [0.25, 0.5, 0.75].map(|share| quantile(&sorted, share));
    Some(Comparison {
        target: other.target.name.clone(),
        against: first.target.name.clone(),
        operation,
        figure,
        median: median?,
        low: low?,
        high: high?,
        pairs,
    })
}

/// The value below which this share lies, between two values in proportion (R's default, type 7).
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = (sorted.len().checked_sub(1)?) as f64 * share;
    let (below, part) = (at.floor() as usize, at.fract());
    let next = sorted.get(below + 1).unwrap_or(&sorted[below]);
    Some(sorted[below] + (next - sorted[below]) * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[3.0], 0.25), Some(3.0));
        let five = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!([0.25, 0.5, 0.75].map(|share| quantile(&five, share).unwrap()), [2.0, 3.0, 4.0]);
        assert_eq!(quantile(&[1.0, 2.0], 0.5), Some(1.5));
    }
}

//! How a run is shown: its progress on standard error, and the report as tables.

use std::convert::Infallible;
use std::time::Duration;

use cairn_load::report::{OperationReport, Percentiles, Report};
use cairn_load::{Phase, Status};
use cairn_protocol::env::Env;
use indicatif::{ProgressBar, ProgressStyle};

use crate::table::Table;
use crate::units::{count, size};

const INTERVAL: Duration = Duration::from_millis(250);

/// Shows what a run does, until it is dropped.
pub(super) async fn watch(status: &Status, env: &Env) -> Infallible {
    let line = Line::new();
    let mut before = (Phase::Starting, 0, 0, env.monotonic());
    loop {
        env.sleep(INTERVAL).await;
        let (phase, (requests, bytes, failures), now) = (status.phase(), status.counts(), env.monotonic());
        if phase != before.0 {
            before = (phase.clone(), 0, 0, now);
        }
        let since = now.saturating_sub(before.3).as_secs_f64();
        let rate = |count: u64, before: u64| {
            if since > 0.0 { count.saturating_sub(before) as f64 / since } else { 0.0 }
        };
        let pace =
            format!("{:.0} requests/s, {}/s", rate(requests, before.1), size(rate(bytes, before.2) as u64));
        let failed = if failures > 0 { format!(", {} failed", count(failures)) } else { String::new() };
        line.say(&phase, requests, now, &format!("{pace}{failed}"));
        // The pace is that of the last seconds.
        if since > 3.0 {
            before = (phase, requests, bytes, now);
        }
    }
}

/// The line on the terminal. Dropping it clears it.
struct Line(ProgressBar);

impl Line {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{elapsed} {wide_msg}");
        Self(
            ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())),
        )
    }

    fn say(&self, phase: &Phase, requests: u64, now: Duration, pace: &str) {
        let words = match phase {
            Phase::Starting => "starting".to_owned(),
            Phase::Preparing { target, objects } => {
                format!("{target}: writing {} of {} objects, {pace}", count(requests), count(*objects))
            }
            Phase::WarmUp { target } => format!("{target}: warming up, {pace}"),
            Phase::Measuring { target, round, rounds, began, lasts } => {
                let left = lasts.saturating_sub(now.saturating_sub(*began)).as_secs();
                format!("{target}: round {round} of {rounds}, {left} s left, {pace}")
            }
            Phase::CleaningUp { target } => format!("{target}: deleting what was written"),
        };
        self.0.set_message(words);
        self.0.tick();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The report as tables.
pub(super) fn text(report: &Report) -> String {
    let mut parts = vec![operations(report).to_string()];
    if report.targets.iter().any(|target| target.server.is_some()) {
        parts.push(servers(report).to_string());
    }
    if !report.comparisons.is_empty() {
        let first = &report.targets[0].name;
        parts.push(format!("Ratios to {first}, round by round: median, and the quarters below and above it"));
        parts.push(comparisons(report).to_string());
    }
    for target in &report.targets {
        parts.extend(target.damage.iter().map(|damage| format!("{}: WRONG: {damage}", target.name)));
        if let Some(left) = &target.left {
            parts.push(format!("{}: not all was deleted that the run wrote: {left}", target.name));
        }
        for of in &target.operations {
            let failed = of.failures.iter();
            parts.extend(failed.map(|(kind, number)| {
                format!("{}: {} failed {} times: {kind}", target.name, of.operation.name(), count(*number))
            }));
        }
    }
    if report.was_stopped {
        parts.push("The run was stopped before its end.".to_owned());
    }
    parts.join("\n\n")
}

fn operations(report: &Report) -> Table {
    let head = [
        "SERVER",
        "OPERATION",
        "REQUESTS",
        "PER SECOND",
        "THROUGHPUT",
        "P50 MS",
        "P90",
        "P99",
        "P99.9",
        "LONGEST",
    ];
    let mut table = Table::new(head).right(&[2, 3, 4, 5, 6, 7, 8, 9]);
    for target in &report.targets {
        for of in &target.operations {
            let [p50, p90, p99, p99_9, max] = latency(of.latency.as_ref());
            let per_second = format!("{:.1}", of.requests_per_second);
            let (server, operation) = (target.name.clone(), of.operation.name().to_owned());
            table.row([
                server,
                operation,
                count(of.requests),
                per_second,
                moved(of),
                p50,
                p90,
                p99,
                p99_9,
                max,
            ]);
        }
    }
    table
}

/// Bytes a second, or items a second of requests that move none.
fn moved(of: &OperationReport) -> String {
    if of.bytes > 0 {
        return format!("{}/s", size(of.bytes_per_second as u64));
    }
    format!("{:.0} items/s", of.items_per_second)
}

fn latency(of: Option<&Percentiles>) -> [String; 5] {
    let Some(of) = of else { return [(); 5].map(|()| "-".to_owned()) };
    [of.p50, of.p90, of.p99, of.p99_9, of.max].map(|ms| format!("{ms:.2}"))
}

fn servers(report: &Report) -> Table {
    let mut table = Table::new(["SERVER", "CPU", "CPU PER REQUEST", "MOST MEMORY"]).right(&[1, 2, 3]);
    for target in &report.targets {
        let Some(server) = &target.server else { continue };
        table.row([
            target.name.clone(),
            format!("{:.2} s", server.cpu_seconds),
            format!("{:.1} µs", server.cpu_us_per_request),
            size(server.memory),
        ]);
    }
    table
}

fn comparisons(report: &Report) -> Table {
    let mut table =
        Table::new(["SERVER", "OPERATION", "FIGURE", "RATIO", "LOW", "HIGH", "ROUNDS"]).right(&[3, 4, 5, 6]);
    for one in &report.comparisons {
        table.row([
            one.target.clone(),
            one.operation.map_or("all", |operation| operation.name()).to_owned(),
            one.figure.name().to_owned(),
            format!("{:.2}", one.median),
            format!("{:.2}", one.low),
            format!("{:.2}", one.high),
            one.pairs.len().to_string(),
        ]);
    }
    table
}

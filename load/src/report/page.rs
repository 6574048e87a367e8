//! The report as one HTML page, with its charts in it.

use askama::Template;

use super::{OperationReport, Report, charts};
use crate::workload::Operation;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PageError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Chart(#[from] charts::ChartError),
    #[error("the page cannot be written: {0}")]
    Template(#[from] askama::Error),
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    sections: Vec<Section<'a>>,
    /// Whether the cost of any server is known.
    has_servers: bool,
}

/// All that is said of one operation.
struct Section<'a> {
    name: &'static str,
    rows: Vec<Row<'a>>,
    throughput: String,
    latency: String,
}

/// One server in the table of an operation.
struct Row<'a> {
    target: &'a str,
    colour: String,
    of: &'a OperationReport,
}

impl Row<'_> {
    fn rate(&self) -> String {
        if self.of.bytes > 0 {
            return format!("{:.1} MiB/s", self.of.bytes_per_second / f64::from(1 << 20));
        }
        format!("{:.0} items/s", self.of.items_per_second)
    }

    fn failures(&self) -> String {
        let kinds = self.of.failures.iter().map(|(kind, count)| format!("{count} × {kind}"));
        kinds.collect::<Vec<_>>().join(", ")
    }

    fn latency(&self) -> [String; 5] {
        let Some(of) = &self.of.latency else { return Default::default() };
        [of.p50, of.p90, of.p99, of.p99_9, of.max].map(milliseconds)
    }

    fn first_byte(&self) -> String {
        self.of.first_byte.as_ref().map(|of| milliseconds(of.p50)).unwrap_or_default()
    }
}

/// Milliseconds with three digits that count.
pub(crate) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

pub(super) fn render(report: &Report) -> Result<String, PageError> {
    let there = |operation: &Operation| {
        report.targets.iter().any(|target| target.operations.iter().any(|of| of.operation == *operation))
    };
    let sections = Operation::ALL.into_iter().filter(there).map(|operation| section(report, operation));
    let sections = sections.collect::<Result<_, Cause>>()?;
    let has_servers = report.targets.iter().any(|target| target.server.is_some());
    Ok(Page { report, sections, has_servers }.render().map_err(Cause::from)?)
}

fn section(report: &Report, operation: Operation) -> Result<Section<'_>, Cause> {
    let rows = report.targets.iter().enumerate().filter_map(|(at, target)| {
        let of = target.operations.iter().find(|of| of.operation == operation)?;
        Some(Row { target: &target.name, colour: charts::colour(at), of })
    });
    Ok(Section {
        name: operation.name(),
        rows: rows.collect(),
        throughput: charts::throughput(report, operation)?,
        latency: charts::latency(report, operation)?,
    })
}

//! Charts as SVG: throughput over time, and the distribution of latency.

use plotters::prelude::*;

use super::{Report, TargetReport};
use crate::workload::Operation;

const SIZE: (u32, u32) = (860, 300);

/// The most labels on an axis.
const LABELS_MAX: usize = 12;

/// Colours of servers, which people who see red and green alike can tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// The colour of a server's lines, as CSS writes it.
pub(super) fn colour(at: usize) -> String {
    let RGBColor(red, green, blue) = COLOURS[at % COLOURS.len()];
    format!("rgb({red},{green},{blue})")
}

/// Why a chart was not drawn.
#[derive(Debug, thiserror::Error)]
#[error("a chart cannot be drawn: {0}")]
pub(super) struct ChartError(String);

/// A line of a chart: the place of its server among the servers, and the points.
type Line = (usize, Vec<(f64, f64)>);

/// Requests, or mebibytes for operations that move bytes, in each second.
pub(super) fn throughput(report: &Report, operation: Operation) -> Result<String, ChartError> {
    let moves_bytes = each(report, operation).any(|(_, of)| of.bytes > 0);
    let lines = each(report, operation).map(|(at, of)| {
        let value = |second: &super::SecondReport| {
            if moves_bytes { second.bytes as f64 / f64::from(1 << 20) } else { second.requests as f64 }
        };
        // The last second is not a whole one.
        let whole = &of.per_second[..of.per_second.len().saturating_sub(1).max(1).min(of.per_second.len())];
        let points = whole.iter().enumerate().map(|(second, counts)| (second as f64, value(counts)));
        (at, points.collect())
    });
    let unit = if moves_bytes { "MiB/s" } else { "requests/s" };
    draw(&lines.collect::<Vec<_>>(), ("seconds", unit), |second| format!("{second:.0}"))
}

/// The latency at each share of the requests. The axis shows how many of ten are slower, of a hundred, of a thousand.
pub(super) fn latency(report: &Report, operation: Operation) -> Result<String, ChartError> {
    let lines = each(report, operation).map(|(at, of)| {
        let points = of.distribution.iter().filter(|(share, _)| *share < 1.0);
        let points = points.map(|(share, ms)| (-(1.0 - share).log10(), *ms)).collect();
        (at, points)
    });
    draw(&lines.collect::<Vec<_>>(), ("percentile", "ms"), |nines| {
        let share = 100.0 * (1.0 - 10f64.powf(-nines));
        format!("{share:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
    })
}

/// The servers that have an operation, by their places.
fn each(report: &Report, operation: Operation) -> impl Iterator<Item = (usize, &super::OperationReport)> {
    let find =
        move |target: &'_ TargetReport| target.operations.iter().position(|of| of.operation == operation);
    report
        .targets
        .iter()
        .enumerate()
        .filter_map(move |(at, target)| Some((at, &target.operations[find(target)?])))
}

fn draw(
    lines: &[Line],
    (across, up): (&str, &str),
    name: impl Fn(f64) -> String,
) -> Result<String, ChartError> {
    let failed = |error: &dyn std::fmt::Display| ChartError(error.to_string());
    let points = || lines.iter().flat_map(|(_, points)| points);
    // A whole number, so that labels are at whole numbers.
    let widest = (points().map(|(x, _)| *x).fold(1.0, f64::max) - 1e-6).ceil();
    let highest = points().map(|(_, y)| *y).fold(0.0, f64::max) * 1.05;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(38)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..widest, 0.0..highest.max(f64::MIN_POSITIVE))
            .map_err(|error| failed(&error))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .axis_style(BLACK.mix(0.4))
            .x_desc(across)
            .y_desc(up)
            .x_labels((widest as usize + 1).min(LABELS_MAX))
            .x_label_formatter(&|x| name(*x))
            .draw()
            .map_err(|error| failed(&error))?;
        for (at, points) in lines {
            let colour = COLOURS[at % COLOURS.len()];
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(line).map_err(|error| failed(&error))?;
        }
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(svg)
}

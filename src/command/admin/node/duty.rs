//! Changes of duty that destroy nothing: maintenance, and the return to service.

use std::time::Duration;

use cairn_protocol::admin::{Admin, Duty, DutyChange, DutyReport, SetDuty};
use clap::Args;

use super::NodeArguments;
use super::drain::obstacle_lines;
use super::list::duty_words;
use crate::arguments::values::duration;
use crate::command::admin::Printer;
use crate::command::admin::node_name::Nodes;

#[derive(Args, Debug)]
pub(in crate::command::admin) struct MaintainArguments {
    #[command(flatten)]
    pub(super) node: NodeArguments,

    /// For how long; it ends by itself
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Duration,

    /// Only tell what would happen
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl MaintainArguments {
    pub(super) fn for_ms(&self) -> u64 {
        u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX)
    }
}

#[derive(Args, Debug)]
pub(in crate::command::admin) struct ReturnArguments {
    #[command(flatten)]
    pub(super) node: NodeArguments,

    /// Only tell what would happen
    #[arg(long)]
    pub(super) dry_run: bool,
}

pub(super) async fn run(
    node: &NodeArguments,
    change: DutyChange,
    dry_run: bool,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<()> {
    let nodes = Nodes::ask(admin).await?;
    let node = nodes.find(&node.node)?;
    let report = admin.set_duty(SetDuty { node: node.node, change, dry_run }).await?;
    printer.show(&report, |report| text(&nodes.name(node), report, dry_run))
}

fn text(name: &str, report: &DutyReport, dry_run: bool) -> String {
    let verb = if dry_run { "would be" } else { "is" };
    let before = match report.before {
        before if before == report.after => String::new(),
        Duty::Service => String::new(),
        before => format!(" (it was: {})", duty_words(before)),
    };
    let after = match report.after {
        Duty::Service => "in service".to_owned(),
        Duty::Draining => "draining".to_owned(),
        after @ Duty::Maintenance { .. } => format!("in {}", duty_words(after)),
    };
    let mut lines = vec![format!("{name} {verb} {after}{before}.")];
    lines.extend(obstacle_lines(&report.progress.obstacles));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::progress;
    use cairn_protocol::env::Timestamp;

    #[test]
    fn a_change_of_duty_is_told_as_done_or_as_what_would_be_done() {
        let until = Duty::Maintenance { until: Timestamp(1_000_000_000_000) };
        let report = |before, after| DutyReport { before, after, progress: progress(after, 1) };
        assert_eq!(
            text("n", &report(Duty::Service, until), true),
            "n would be in maintenance until 2001-09-09T01:46:40Z."
        );
        assert_eq!(
            text("n", &report(Duty::Draining, Duty::Service), false),
            "n is in service (it was: draining)."
        );
    }
}

//! Changes of administrative state that destroy nothing: maintenance, and the return to service.

use std::time::Duration;

use cairn_protocol::admin::{Admin, AdminState, AdminStateChange, AdminStateReport, SetAdminState};
use clap::Args;

use super::NodeArguments;
use super::drain::obstacle_lines;
use super::list::admin_state_words;
use crate::arguments::values::duration;
use crate::command::admin::Printer;
use crate::command::admin::node_name::Nodes;

#[derive(Args, Debug)]
pub(in crate::command::admin) struct MaintainArguments {
    #[command(flatten)]
    pub(super) node: NodeArguments,

    /// How long the maintenance lasts; it ends by itself
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Duration,

    /// Only show what would happen
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

    /// Only show what would happen
    #[arg(long)]
    pub(super) dry_run: bool,
}

pub(super) async fn run(
    node: &NodeArguments,
    change: AdminStateChange,
    dry_run: bool,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<()> {
    let nodes = Nodes::ask(admin).await?;
    let node = nodes.find(&node.node)?;
    let report = admin.set_admin_state(SetAdminState { node: node.node, change, dry_run }).await?;
    printer.show(&report, |report| text(&nodes.name(node), report, dry_run))
}

fn text(name: &str, report: &AdminStateReport, dry_run: bool) -> String {
    let verb = if dry_run { "would be" } else { "is" };
    let before = match report.before {
        before if before == report.after => String::new(),
        AdminState::InService => String::new(),
        before => format!(" (it was: {})", admin_state_words(before)),
    };
    let after = match report.after {
        AdminState::InService => "in service".to_owned(),
        AdminState::Draining => "draining".to_owned(),
        after @ AdminState::Maintenance { .. } => format!("in {}", admin_state_words(after)),
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
    fn a_change_of_administrative_state_is_reported_as_done_or_as_planned() {
        let until = AdminState::Maintenance { until: Timestamp(1_000_000_000_000) };
        let report = |before, after| AdminStateReport { before, after, progress: progress(after, 1) };
        assert_eq!(
            text("n", &report(AdminState::InService, until), true),
            "n would be in maintenance until 2001-09-09T01:46:40Z."
        );
        assert_eq!(
            text("n", &report(AdminState::Draining, AdminState::InService), false),
            "n is in service (it was: draining)."
        );
    }
}

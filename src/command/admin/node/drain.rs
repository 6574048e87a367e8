//! `cairn admin node drain`: shows what a drain moves, starts it, and waits for its end.

use std::time::Duration;

use anyhow::bail;
use cairn_protocol::admin::{
    Admin, AdminState, AdminStateChange, AdminStateReport, NodeProgress, NodeProgressRequest, NodeStatus,
    Obstacle, SetAdminState,
};
use cairn_protocol::env::Env;
use clap::Args;

use super::NodeArguments;
use crate::arguments::values::duration;
use crate::command::admin::consent::Consent;
use crate::command::admin::node_name::Nodes;
use crate::command::admin::progress::{Bar, Unit, pause};
use crate::command::admin::{Outcome, Printer};
use crate::process::remark;
use crate::units::{of, size};

const AFTER_HELP: &str = "\
Exit codes: 0 it drains, or with --wait is drained; 1 it could not be done; 2 with --timeout, something is left.
To take it back: cairn admin node return NODE";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(in crate::command::admin) struct DrainArguments {
    #[command(flatten)]
    node: NodeArguments,

    /// Wait until no block is left on it
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,

    /// The longest time to wait; exit code 2 if blocks are left then. The drain continues
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "wait")]
    timeout: Option<Duration>,

    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(
    arguments: &DrainArguments,
    admin: &dyn Admin,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<Outcome> {
    let nodes = Nodes::ask(admin).await?;
    let node = nodes.find(&arguments.node.node)?;
    let change = |dry_run| SetAdminState { node: node.node, change: AdminStateChange::Drain, dry_run };
    let plan = admin.set_admin_state(change(true)).await?;
    if arguments.consent.dry_run {
        printer.show(&plan, |plan| outlook(&nodes.name(node), plan))?;
        return Ok(Outcome::Well);
    }
    printer.note(outlook(&nodes.name(node), &plan));
    if !arguments.consent.given()? {
        return Ok(Outcome::Well);
    }
    let report = admin.set_admin_state(change(false)).await?;
    if !arguments.wait {
        let advice = format!(
            "Draining. `cairn admin node drain {} --wait` shows how far it is.",
            nodes.short(node.node)
        );
        printer.show(&report, |_| advice)?;
        return Ok(Outcome::Well);
    }
    let progress = wait(node, report.progress, arguments.timeout, admin, env).await?;
    printer.show(&progress, |progress| ending(&nodes.name(node), progress))?;
    Ok(progress.drained.into())
}

/// A sentence about the effect of a drain, done or planned.
fn outlook(name: &str, plan: &AdminStateReport) -> String {
    let progress = &plan.progress;
    let mut lines = vec![match plan.before {
        AdminState::Draining => format!("{name} is draining: {} left.", what(progress)),
        AdminState::InService | AdminState::Maintenance { .. } => {
            format!("Draining {name} moves {} to other datanodes; it gets no new ones.", what(progress))
        }
    }];
    lines.extend(obstacle_lines(&progress.obstacles));
    lines.join("\n")
}

fn what(progress: &NodeProgress) -> String {
    format!("{} ({})", of(progress.blocks, "block"), size(progress.bytes))
}

/// A line for each obstacle of a drain.
pub(super) fn obstacle_lines(obstacles: &[Obstacle]) -> Vec<String> {
    let line = |obstacle: &Obstacle| {
        format!(
            "Held up: {}, such as {}: {}",
            of(obstacle.blocks, "block"),
            obstacle.example,
            obstacle.reason.trim_end_matches('.')
        ) + "."
    };
    obstacles.iter().map(line).collect()
}

/// A line if a node without blocks still waits for uploads to end, or None.
pub(super) fn uploads_line(progress: &NodeProgress) -> Option<String> {
    let waits =
        progress.admin_state == AdminState::Draining && progress.blocks == 0 && progress.grants_last_ms > 0;
    waits.then(|| {
        let seconds = progress.grants_last_ms.div_ceil(1_000);
        format!(
            "It waits for uploads that may still be committed to it, {} at the most unless they go on.",
            of(seconds, "second")
        )
    })
}

fn ending(name: &str, progress: &NodeProgress) -> String {
    if progress.drained {
        return format!("{name} is drained: it can be stopped and removed.");
    }
    let mut lines = vec![format!("{name} is still draining: {} left.", what(progress))];
    lines.extend(uploads_line(progress));
    lines.extend(obstacle_lines(&progress.obstacles));
    lines.join("\n")
}

/// Polls the progress until no block is left, another command ends the drain, or the time is over.
async fn wait(
    node: &NodeStatus,
    first: NodeProgress,
    timeout: Option<Duration>,
    admin: &dyn Admin,
    env: &Env,
) -> anyhow::Result<NodeProgress> {
    let began = env.monotonic();
    let total = first.blocks;
    let bar = Bar::new(total, Unit::Count);
    let mut progress = first;
    let mut told = Vec::new();
    loop {
        bar.set(total.saturating_sub(progress.blocks), total.max(progress.blocks));
        let mut reasons: Vec<_> = progress.obstacles.iter().map(|obstacle| obstacle.reason.clone()).collect();
        reasons.extend(uploads_line(&progress).map(|_| "waits for uploads".to_owned()));
        bar.say(reasons.first().cloned().unwrap_or_else(|| format!("{} left", size(progress.bytes))));
        if reasons != told && bar.is_hidden() {
            obstacle_lines(&progress.obstacles).iter().chain(&uploads_line(&progress)).for_each(remark);
            told = reasons;
        }
        let timed_out = timeout.is_some_and(|timeout| env.monotonic().saturating_sub(began) >= timeout);
        if progress.drained || timed_out {
            return Ok(progress);
        }
        if progress.admin_state != AdminState::Draining {
            bail!("the drain of {} was ended by another command", node.node);
        }
        pause(env).await;
        progress = admin.node_progress(NodeProgressRequest { node: node.node }).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{Fake, NODE, impatient_env, progress};
    use cairn_protocol::env::Timestamp;

    fn arguments(line: &[&str]) -> DrainArguments {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            arguments: DrainArguments,
        }
        <Line as clap::Parser>::try_parse_from(["drain", NODE].iter().chain(line)).unwrap().arguments
    }

    const PRINTER: Printer = Printer { json: true };

    #[tokio::test]
    async fn a_dry_run_drains_nothing() {
        let fake = Fake::default();
        let outcome = run(&arguments(&["--dry-run"]), &fake, &impatient_env(), PRINTER).await;
        assert_eq!(outcome.unwrap(), Outcome::Well);
        assert_eq!(fake.orders(), ["set_admin_state dry"]);
    }

    #[tokio::test]
    async fn a_drain_that_is_waited_for_ends_when_nothing_is_left() {
        let fake = Fake::default();
        fake.progress([
            progress(AdminState::Draining, 5),
            progress(AdminState::Draining, 1),
            progress(AdminState::Draining, 0),
        ]);
        let outcome = run(&arguments(&["--yes", "--wait"]), &fake, &impatient_env(), PRINTER).await;
        assert_eq!(outcome.unwrap(), Outcome::Well);
        assert_eq!(fake.orders()[..2], ["set_admin_state dry", "set_admin_state"]);
    }

    #[tokio::test]
    async fn a_drain_that_is_stuck_is_not_waited_for_beyond_the_time_given() {
        let fake = Fake::default();
        fake.progress([progress(AdminState::Draining, 5)]);
        let line = ["--yes", "--wait", "--timeout", "1ms"];
        let outcome = run(&arguments(&line), &fake, &impatient_env(), PRINTER).await;
        assert_eq!(outcome.unwrap(), Outcome::NotWell);
    }

    #[tokio::test]
    async fn a_drain_that_another_command_ended_is_not_waited_for() {
        let fake = Fake::default();
        fake.progress([progress(AdminState::Draining, 5), progress(AdminState::InService, 5)]);
        let outcome = run(&arguments(&["--yes", "--wait"]), &fake, &impatient_env(), PRINTER).await;
        assert!(outcome.unwrap_err().to_string().contains("ended by another command"));
    }

    #[test]
    fn obstacles_are_shown_with_an_example() {
        let mut plan = AdminStateReport {
            before: AdminState::Maintenance { until: Timestamp(1) },
            after: AdminState::Draining,
            progress: progress(AdminState::Draining, 5),
        };
        plan.progress.obstacles = vec![Obstacle {
            reason: "no other datanode has room".to_owned(),
            blocks: 2,
            example: "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".parse().unwrap(),
        }];
        assert_eq!(
            outlook("n (http://n)", &plan),
            "Draining n (http://n) moves 5 blocks (5.0 MiB) to other datanodes; it gets no new ones.\n\
             Held up: 2 blocks, such as 017f22e2-79b0-7cc3-98c4-dc0c0c07398f: no other datanode has room."
        );
    }
}

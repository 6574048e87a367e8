//! `cairn admin node can-stop`: whether datanodes can be stopped now, as an exit code and as sentences.

use cairn_protocol::admin::{Admin, CanStop, CanStopReport};
use clap::Args;

use crate::command::admin::node_name::Nodes;
use crate::command::admin::{Outcome, Printer};
use crate::units::of;

#[derive(Args, Debug)]
pub(in crate::command::admin) struct CanStopArguments {
    /// The datanodes, each by its id, the beginning of its id, or its address
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<String>,
}

pub(super) async fn run(
    arguments: &CanStopArguments,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<Outcome> {
    let nodes = Nodes::ask(admin).await?;
    let mut wanted = Vec::new();
    for name in &arguments.nodes {
        let node = nodes.find(name)?.node;
        if !wanted.contains(&node) {
            wanted.push(node);
        }
    }
    let report = admin.can_stop(CanStop { nodes: wanted }).await?;
    printer.show(&report, text)?;
    Ok(report.safe.into())
}

fn text(report: &CanStopReport) -> String {
    let mut lines = Vec::new();
    if report.safe {
        lines.push("Safe: everything stays readable and writable.".to_owned());
    } else {
        lines.push("Not safe:".to_owned());
        lines.extend(report.reasons.iter().map(|reason| format!("- {reason}")));
    }
    if report.at_risk > 0 {
        lines.push(format!("{} would be left with a single replica.", of(report.at_risk, "block")));
    }
    lines.push(format!(
        "{} would be left to write to; a write needs {}.",
        of(u64::from(report.writable_nodes), "datanode"),
        report.needed_nodes
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{Fake, NODE};

    fn report(safe: bool) -> CanStopReport {
        CanStopReport {
            safe,
            unreadable: u64::from(!safe),
            at_risk: 3,
            writable_nodes: 1,
            needed_nodes: 2,
            reasons: if safe { vec![] } else { vec!["1 block has no other replica.".to_owned()] },
        }
    }

    #[tokio::test]
    async fn scripts_learn_from_the_exit_code_whether_it_is_safe() {
        for safe in [true, false] {
            let fake = Fake::default();
            fake.can_stop(report(safe));
            let arguments = CanStopArguments { nodes: vec![NODE.to_owned(), NODE[..8].to_owned()] };
            let outcome = run(&arguments, &fake, Printer { json: true }).await.unwrap();
            assert_eq!(outcome, if safe { Outcome::Well } else { Outcome::NotWell });
            assert_eq!(fake.orders(), ["can_stop 1"], "a node that is named twice counts once");
        }
    }

    #[test]
    fn reasons_are_sentences() {
        let text = text(&report(false));
        assert_eq!(
            text,
            "Not safe:\n- 1 block has no other replica.\n3 blocks would be left with a single replica.\n\
             1 datanode would be left to write to; a write needs 2."
        );
    }
}

//! `cairn admin node remove`: removes the records of a datanode that is drained or dead. It begins with a dry run.

use anyhow::bail;
use cairn_protocol::admin::{Admin, RemoveNode, RemoveNodeReport};
use clap::Args;

use super::NodeArguments;
use crate::command::admin::Printer;
use crate::command::admin::consent::Consent;
use crate::command::admin::node_name::Nodes;
use crate::units::count;

#[derive(Args, Debug)]
pub(in crate::command::admin) struct RemoveArguments {
    #[command(flatten)]
    node: NodeArguments,

    /// Remove it even if it has the last replica of some blocks, whose objects are then lost
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(
    arguments: &RemoveArguments,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<()> {
    let nodes = Nodes::ask(admin).await?;
    let node = nodes.find(&arguments.node.node)?;
    let request = |dry_run| RemoveNode { node: node.node, force: arguments.force, dry_run };
    let plan = admin.remove_node(request(true)).await?;
    if arguments.consent.dry_run {
        return printer.show(&plan, |plan| outlook(&nodes.name(node), plan));
    }
    printer.note(outlook(&nodes.name(node), &plan));
    if plan.last_replicas > 0 && !arguments.force {
        bail!("nothing was done: bring the datanode back, or give its last replicas up with --force");
    }
    if arguments.consent.given()? {
        let report = admin.remove_node(request(false)).await?;
        printer.show(&report, |_| format!("{} is removed.", nodes.name(node)))?;
    }
    Ok(())
}

fn outlook(name: &str, plan: &RemoveNodeReport) -> String {
    let replicas = if plan.replicas == 1 { "replica" } else { "replicas" };
    let forgets = format!("Removing {name} forgets {} {replicas} on it", count(plan.replicas));
    match plan.last_replicas {
        0 => format!("{forgets}; no block has its last one there."),
        1 => format!("{forgets}; 1 block has its LAST one there: its objects are lost."),
        last => {
            format!("{forgets}; {} blocks have their LAST one there: their objects are lost.", count(last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{Fake, NODE};

    fn arguments(dry_run: bool, yes: bool) -> RemoveArguments {
        RemoveArguments {
            node: NodeArguments { node: NODE.to_owned() },
            force: true,
            consent: Consent { dry_run, yes },
        }
    }

    #[tokio::test]
    async fn every_removal_begins_with_a_dry_run() {
        for (dry_run, orders) in
            [(true, vec!["remove_node dry"]), (false, vec!["remove_node dry", "remove_node"])]
        {
            let fake = Fake::default();
            run(&arguments(dry_run, !dry_run), &fake, Printer { json: true }).await.unwrap();
            assert_eq!(fake.orders(), orders);
        }
    }

    #[tokio::test]
    async fn last_replicas_are_given_up_only_by_force() {
        for (force, orders) in
            [(false, vec!["remove_node dry"]), (true, vec!["remove_node dry", "remove_node"])]
        {
            let fake = Fake::default();
            fake.last_replicas(3);
            let arguments = RemoveArguments { force, ..arguments(false, true) };
            assert_eq!(run(&arguments, &fake, Printer { json: true }).await.is_ok(), force);
            assert_eq!(fake.orders(), orders);
        }
    }

    #[test]
    fn the_loss_of_last_replicas_is_shown_before_the_removal() {
        let text = |last_replicas| outlook("n", &RemoveNodeReport { replicas: 7, last_replicas });
        assert_eq!(text(0), "Removing n forgets 7 replicas on it; no block has its last one there.");
        assert!(text(2).ends_with("2 blocks have their LAST one there: their objects are lost."));
    }
}

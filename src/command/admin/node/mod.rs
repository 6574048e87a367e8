//! `cairn admin node`: one file per operation.

mod admin_state;
mod can_stop;
mod drain;
mod list;
mod remove;
mod show;

use cairn_protocol::admin::{Admin, AdminStateChange};
use cairn_protocol::env::Env;
use clap::{Args, Subcommand};

pub(super) use list::{node_table, state_word};

use super::{Outcome, Printer};

#[derive(Subcommand, Debug)]
pub(super) enum NodeOperation {
    /// List all datanodes
    List,
    /// Show one datanode: state, volumes, administrative state, progress of a drain, scrub
    Show(NodeArguments),
    /// Move everything off a datanode, so that it can be removed
    Drain(drain::DrainArguments),
    /// Let a datanode be away for a while without its blocks being copied elsewhere
    Maintain(admin_state::MaintainArguments),
    /// Take a datanode back into service: ends a drain or maintenance
    Return(admin_state::ReturnArguments),
    /// Check whether datanodes can be stopped now, all at the same time; exit code 0 if they can, 2 if not
    CanStop(can_stop::CanStopArguments),
    /// Forget a datanode that is drained, or dead and will not come back
    Remove(remove::RemoveArguments),
}

/// The datanode of a command.
#[derive(Args, Debug)]
pub(super) struct NodeArguments {
    /// The datanode, by its id, the beginning of its id, or its address
    #[arg(value_name = "NODE")]
    node: String,
}

pub(super) async fn run(
    operation: NodeOperation,
    admin: &dyn Admin,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<Outcome> {
    let done = match operation {
        NodeOperation::List => list::run(admin, printer).await,
        NodeOperation::Show(arguments) => show::run(&arguments, admin, printer).await,
        NodeOperation::Drain(arguments) => return drain::run(&arguments, admin, env, printer).await,
        NodeOperation::Maintain(arguments) => {
            let change = AdminStateChange::Maintain { for_ms: arguments.for_ms() };
            admin_state::run(&arguments.node, change, arguments.dry_run, admin, printer).await
        }
        NodeOperation::Return(arguments) => {
            admin_state::run(&arguments.node, AdminStateChange::Return, arguments.dry_run, admin, printer)
                .await
        }
        NodeOperation::CanStop(arguments) => return can_stop::run(&arguments, admin, printer).await,
        NodeOperation::Remove(arguments) => remove::run(&arguments, admin, printer).await,
    };
    done.map(|()| Outcome::Well)
}

//! `cairn admin node show`: the details of one datanode.

use cairn_protocol::admin::{
    Admin, NodeProgress, NodeProgressRequest, NodeStatus, ScrubRequest, ScrubStatus,
};
use serde::Serialize;

use super::NodeArguments;
use super::drain::{obstacle_lines, uploads_line};
use super::list::{admin_state_words, state_word};
use crate::command::admin::Printer;
use crate::command::admin::node_name::Nodes;
use crate::command::admin::scrub::scrub_words;
use crate::table::Table;
use crate::units::{count, of, size, span};

/// The output of `--json`.
#[derive(Serialize)]
struct NodeDetails {
    /// The node's entry in `status`.
    status: NodeStatus,
    /// The progress of its drain or maintenance.
    progress: NodeProgress,
    /// The progress of its scrubber, if the node has reported it.
    scrub: Option<ScrubStatus>,
}

pub(super) async fn run(
    arguments: &NodeArguments,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<()> {
    let nodes = Nodes::ask(admin).await?;
    let status = nodes.find(&arguments.node)?.clone();
    let progress = admin.node_progress(NodeProgressRequest { node: status.node }).await?;
    let scrub = admin.scrub(ScrubRequest {}).await?.into_iter().find(|scrub| scrub.node == status.node);
    printer.show(&NodeDetails { status, progress, scrub }, text)
}

fn text(details: &NodeDetails) -> String {
    let NodeDetails { status, progress, scrub } = details;
    let mut facts = Table::of_facts();
    let mut fact = |name: &str, value: String| facts.row([name.to_owned(), value]);
    fact("node", status.node.to_string());
    fact("address", status.address.clone());
    fact("zone", status.zone.clone().unwrap_or_else(|| "-".to_owned()));
    fact("state", state_word(status.state).to_owned());
    fact(
        "last contact",
        status.last_contact_ms.map_or_else(|| "unknown".to_owned(), |ms| format!("{} ago", span(ms))),
    );
    fact("admin state", admin_state_words(status.admin_state));
    fact("version", format!("{}, incarnation {}", status.version, status.incarnation));
    fact("blocks", format!("{} of {}", count(progress.blocks), size(progress.bytes)));
    fact("leaving now", of(progress.in_flight, "block"));
    fact("predicted use", size(status.predicted_used));
    fact("scrub", scrub.as_ref().map_or_else(|| "unknown".to_owned(), scrub_words));
    let mut volumes =
        Table::new(["VOLUME", "USED", "FREE", "TRASH", "CAPACITY", "STATE"]).right(&[1, 2, 3, 4]);
    for volume in &status.volumes {
        let state = volume.failed.as_ref().map_or_else(|| "good".to_owned(), |why| format!("failed: {why}"));
        volumes.row([
            volume.volume.to_string(),
            size(volume.used),
            size(volume.free),
            size(volume.trash),
            size(volume.capacity),
            state,
        ]);
    }
    let mut parts = vec![facts.to_string(), volumes.to_string()];
    if progress.drained {
        parts.push("It is drained: it can be stopped and removed.".to_owned());
    }
    parts.extend(uploads_line(progress));
    if !progress.obstacles.is_empty() {
        parts.push(obstacle_lines(&progress.obstacles).join("\n"));
    }
    parts.join("\n\n")
}

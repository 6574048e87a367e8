use bytesize::ByteSize;
use cairn_protocol::admin::{Admin, ClusterStatus, NodeState, NodeStatus, StatusRequest};
use clap::Args;

use super::metanode_client::MetanodeArguments;
use crate::process::say;

#[derive(Args, Debug)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    metanode: MetanodeArguments,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: StatusArguments) -> anyhow::Result<()> {
    let metanode = arguments.metanode.connect()?;
    let status = metanode.rpc.status(StatusRequest {}).await?;
    if arguments.json {
        say(serde_json::to_string_pretty(&status)?);
    } else {
        say(table(&status));
    }
    Ok(())
}

fn table(status: &ClusterStatus) -> String {
    let mut lines = vec![
        format!("cluster            {}", status.cluster),
        format!("blocks             {}", status.blocks),
        format!("under-replicated   {}", status.under_replicated),
        format!("missing            {}", status.missing),
        format!("repairs in flight  {}", status.repairs_in_flight),
        format!("deletions queued   {}", status.deletions_queued),
        String::new(),
        format!(
            "{:36}  {:5}  {:>9}  {:>9}  {:>9}  {:>9}  ADDRESS",
            "NODE", "STATE", "REPLICAS", "USED", "FREE", "SILENT"
        ),
    ];
    lines.extend(status.nodes.iter().map(row));
    lines.join("\n")
}

fn row(node: &NodeStatus) -> String {
    let state = match node.state {
        NodeState::Live => "live",
        NodeState::Stale => "stale",
        NodeState::Dead => "dead",
    };
    let sum = |of: fn(&cairn_protocol::cluster::VolumeUsage) -> u64| {
        ByteSize(node.volumes.iter().map(of).sum()).to_string()
    };
    let silent =
        node.silent_ms.map_or_else(|| "unknown".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1000.0));
    let (used, free) = (sum(|volume| volume.used), sum(|volume| volume.free));
    format!(
        "{:36}  {state:5}  {:>9}  {used:>9}  {free:>9}  {silent:>9}  {}",
        node.node.to_string(),
        node.replicas,
        node.address
    )
}

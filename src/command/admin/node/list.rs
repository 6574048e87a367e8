//! `cairn admin node list`: a row for each datanode.

use cairn_protocol::admin::{Admin, AdminState, NodeState, NodeStatus};
use cairn_protocol::cluster::VolumeUsage;

use crate::command::admin::Printer;
use crate::command::admin::node_name::Nodes;
use crate::table::Table;
use crate::units::{count, fill, size, span, time};

pub(super) async fn run(admin: &dyn Admin, printer: Printer) -> anyhow::Result<()> {
    let nodes = Nodes::ask(admin).await?;
    printer.show(nodes.all(), |all| {
        if all.is_empty() { "no datanode ever registered".to_owned() } else { node_table(&nodes).to_string() }
    })
}

/// A table with a row for each node.
pub(crate) fn node_table(nodes: &Nodes) -> Table {
    let mut table = Table::new([
        "NODE",
        "STATE",
        "ADMIN STATE",
        "ZONE",
        "BLOCKS",
        "USED",
        "FREE",
        "FULL",
        "VOLUMES",
        "LAST CONTACT",
        "ADDRESS",
    ])
    .right(&[4, 5, 6, 7, 9]);
    for node in nodes.all() {
        let sum = |of: fn(&VolumeUsage) -> u64| node.volumes.iter().map(of).sum::<u64>();
        table.row([
            nodes.short(node.node),
            state_word(node.state).to_owned(),
            admin_state_words(node.admin_state),
            node.zone.clone().unwrap_or_else(|| "-".to_owned()),
            count(node.replicas),
            size(sum(|volume| volume.used)),
            size(sum(|volume| volume.free)),
            fill(node.predicted_used, sum(|volume| volume.capacity)),
            volumes(node),
            node.last_contact_ms.map_or_else(|| "unknown".to_owned(), span),
            node.address.clone(),
        ]);
    }
    table
}

fn volumes(node: &NodeStatus) -> String {
    match node.volumes.iter().filter(|volume| volume.failed.is_some()).count() {
        0 => node.volumes.len().to_string(),
        failed => format!("{}, {failed} failed", node.volumes.len()),
    }
}

/// The word for a node's state.
pub(crate) fn state_word(state: NodeState) -> &'static str {
    match state {
        NodeState::Live => "live",
        NodeState::Stale => "stale",
        NodeState::Dead => "dead",
    }
}

/// The words for an administrative state.
pub(super) fn admin_state_words(admin_state: AdminState) -> String {
    match admin_state {
        AdminState::InService => "in service".to_owned(),
        AdminState::Draining => "draining".to_owned(),
        AdminState::Maintenance { until } => format!("maintenance until {}", time(until)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::node;
    use cairn_protocol::env::Timestamp;

    #[test]
    fn a_node_s_row_tells_what_matters_about_it() {
        let mut node = node("aaaaaaaa-aaaa-4000-8000-000000000001", "http://10.0.0.1:9020");
        node.admin_state = AdminState::Maintenance { until: Timestamp(1_000_000_000_000) };
        node.volumes[0].failed = Some("EIO".to_owned());
        let table = node_table(&Nodes::new(vec![node])).to_string();
        let row = table.lines().nth(1).unwrap();
        for word in
            ["aaaaaaaa ", "live", "maintenance until 2001-09-09T01:46:40Z", "1, 1 failed", "10.0.0.1:9020"]
        {
            assert!(row.contains(word), "{word} in {row}");
        }
    }
}

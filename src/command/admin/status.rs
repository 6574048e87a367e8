//! `cairn admin status`: health in a sentence, then the numbers behind it.

use cairn_protocol::admin::{
    Admin, ClusterStatus, NodeState, NodeStatus, StatusRequest, WorkerActivity, WorkerName,
};
use cairn_protocol::cluster::VolumeUsage;

use super::Printer;
use super::bucket::usage_table;
use super::hold::sentence;
use super::node::node_table;
use super::node_name::Nodes;
use super::worker::worker_table;
use crate::table::Table;
use crate::units::{count, fill, of, size};

pub(super) async fn run(admin: &dyn Admin, printer: Printer) -> anyhow::Result<()> {
    let status = admin.status(StatusRequest {}).await?;
    printer.show(&status, text)
}

fn text(status: &ClusterStatus) -> String {
    let mut parts = vec![health(status), facts(status).to_string()];
    if !status.nodes.is_empty() {
        parts.push(node_table(&Nodes::new(status.nodes.clone())).to_string());
    }
    if !status.buckets.is_empty() {
        parts.push(usage_table(&status.buckets).to_string());
    }
    if !status.workers.is_empty() {
        parts.push(worker_table(&status.workers).to_string());
    }
    parts.join("\n\n")
}

/// A sentence with the worst problem, and then the other problems.
fn health(status: &ClusterStatus) -> String {
    let blemishes = blemishes(status);
    let besides = if blemishes.is_empty() { String::new() } else { format!(" {}.", blemishes.join("; ")) };
    let verdict = if status.nodes.is_empty() {
        "Empty: no datanode ever registered; `cairn datanode` starts one.".to_owned()
    } else if status.missing > 0 {
        format!(
            "Broken: {} without any replica within reach; `cairn admin fsck` names the objects.",
            of(status.missing, "block")
        )
    } else if !status.nodes.iter().any(|node| node.state == NodeState::Live) {
        "Down: no datanode is live.".to_owned()
    } else if status.under_replicated > 0 {
        format!(
            "At risk: {} of {} with too few replicas.",
            count(status.under_replicated),
            of(status.blocks, "block")
        )
    } else if !blemishes.is_empty() {
        "Degraded: every block has its replicas, but not all is well.".to_owned()
    } else {
        "Healthy: every block has its replicas, and every datanode is live.".to_owned()
    };
    verdict + &besides
}

fn blemishes(status: &ClusterStatus) -> Vec<String> {
    let in_state = |state| status.nodes.iter().filter(|node| node.state == state).count() as u64;
    let failed = volumes(status).filter(|volume| volume.failed.is_some()).count() as u64;
    let mut blemishes = Vec::new();
    for (state, word) in [(NodeState::Dead, "dead"), (NodeState::Stale, "stale")] {
        if in_state(state) > 0 {
            blemishes.push(format!("{} {word}", of(in_state(state), "datanode")));
        }
    }
    if failed > 0 {
        blemishes.push(format!("{} failed", of(failed, "volume")));
    }
    blemishes.extend(sentence(&status.hold));
    for worker in &status.workers {
        match (worker.activity, worker.worker) {
            (WorkerActivity::Failing, name) => {
                let error = worker.error.as_deref().unwrap_or("the metanode's log tells why");
                blemishes.push(format!("worker {name} fails: {error}"));
            }
            (WorkerActivity::Paused, WorkerName::Repair) => {
                blemishes
                    .push("repair is paused: `cairn admin worker resume repair` has it go on".to_owned());
            }
            _ => {}
        }
    }
    blemishes
}

fn volumes(status: &ClusterStatus) -> impl Iterator<Item = &VolumeUsage> {
    status.nodes.iter().flat_map(|node| &node.volumes)
}

fn facts(status: &ClusterStatus) -> Table {
    let sum = |of: fn(&VolumeUsage) -> u64| volumes(status).map(of).sum::<u64>();
    let (used, capacity, free) =
        (sum(|volume| volume.used), sum(|volume| volume.capacity), sum(|volume| volume.free));
    let mut table = Table::of_facts();
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("cluster", status.cluster.to_string());
    fact(
        "capacity",
        format!("{} of {} used ({}), {} free", size(used), size(capacity), fill(used, capacity), size(free)),
    );
    fact("datanodes", nodes(&status.nodes));
    fact(
        "blocks",
        format!(
            "{}: {} under-replicated, {} missing, {} being copied",
            count(status.blocks),
            count(status.under_replicated),
            count(status.missing),
            count(status.repairs_in_flight)
        ),
    );
    fact("deletions", format!("{} queued", count(status.deletions_queued)));
    table
}

fn nodes(nodes: &[NodeStatus]) -> String {
    let with = |word: &str, fits: &dyn Fn(&NodeStatus) -> bool| {
        let number = nodes.iter().filter(|node| fits(node)).count();
        (number > 0).then(|| format!("{number} {word}"))
    };
    let counts = [
        with("live", &|node| node.state == NodeState::Live),
        with("stale", &|node| node.state == NodeState::Stale),
        with("dead", &|node| node.state == NodeState::Dead),
        with("draining", &|node| node.admin_state == cairn_protocol::admin::AdminState::Draining),
        with("in maintenance", &|node| {
            matches!(node.admin_state, cairn_protocol::admin::AdminState::Maintenance { .. })
        }),
    ];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{node, status, worker};
    use cairn_protocol::admin::AdminState;

    fn two_nodes() -> ClusterStatus {
        status(vec![
            node("aaaaaaaa-aaaa-4000-8000-000000000001", "http://10.0.0.1:9020"),
            node("bbbbbbbb-0000-4000-8000-000000000002", "http://10.0.0.2:9020"),
        ])
    }

    #[test]
    fn health_is_the_worst_that_is_known() {
        assert!(health(&two_nodes()).starts_with("Healthy"));
        assert!(health(&status(vec![])).starts_with("Empty"));
        let at_risk = ClusterStatus { under_replicated: 2, ..two_nodes() };
        assert!(health(&at_risk).starts_with("At risk: 2 of 10 blocks"));
        assert!(health(&ClusterStatus { missing: 1, ..at_risk }).starts_with("Broken: 1 block without"));
        let mut down = two_nodes();
        down.nodes.iter_mut().for_each(|node| node.state = NodeState::Dead);
        assert!(health(&down).starts_with("Down") && health(&down).contains("2 datanodes dead"));
    }

    #[test]
    fn other_problems_are_named_beside_the_worst_one() {
        let mut one = two_nodes();
        one.nodes[0].state = NodeState::Stale;
        one.nodes[1].volumes[0].failed = Some("EIO".to_owned());
        assert_eq!(
            health(&one),
            "Degraded: every block has its replicas, but not all is well. 1 datanode stale; 1 volume failed."
        );
        let mut two = two_nodes();
        two.workers = vec![worker(WorkerName::Repair, WorkerActivity::Paused)];
        assert!(health(&two).contains("cairn admin worker resume repair"));
        two.workers = vec![worker(WorkerName::Balance, WorkerActivity::Paused)];
        assert!(health(&two).starts_with("Healthy"));
    }

    #[test]
    fn a_hold_is_explained_in_words() {
        let mut held = two_nodes();
        held.hold.since = Some(cairn_protocol::env::Timestamp(0));
        assert!(health(&held).starts_with("Degraded") && health(&held).contains("Deletions are held"));
        assert!(health(&held).contains("cairn admin hold status"));
    }

    #[test]
    fn the_numbers_follow_the_health() {
        let mut status = two_nodes();
        status.nodes[1].admin_state = AdminState::Draining;
        let text = text(&status);
        assert!(text.contains("25.0 MiB of 200.0 MiB used (12.5 %), 150.0 MiB free"), "{text}");
        assert!(text.contains("2 live, 1 draining"), "{text}");
        assert!(text.contains("10: 0 under-replicated, 0 missing, 0 being copied"), "{text}");
    }
}

//! The order of a start: lock, recover, bind, register, report; workers start only after the report.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::event::EventKind;
use futures_util::StreamExt;

use crate::machine::Machine;
use crate::metanode::Metanode;
use crate::support::{Http, Node, config, content, id};

#[tokio::test]
async fn a_node_locks_recovers_registers_and_reports_before_any_worker_starts() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let machine = Machine::default();
    let metanode = Metanode::new();
    metanode.change(|state| state.holds_reports = true);
    let mut config = config(directory.path());
    config.scrub_period = Duration::from_millis(1);
    config.maintenance_interval = Duration::from_millis(1);
    let disk = Arc::new(machine.clone());
    let node = Node::start_on(disk, directory, config, Arc::new(Http), metanode.clone()).await;

    // Before the node has a port, it locks its directory first, and then recovers its blocks.
    let calls = machine.calls();
    let first = |name: &str, file: &str| {
        calls.iter().position(|(call, path)| *call == name && path.ends_with(file)).unwrap()
    };
    assert_eq!(first("lock", "lock"), 0);
    assert!(first("open", "identity.json") < first("list", "shared"));
    assert!(first("list", "shared") < first("list", "own"));

    // While the report is not answered the node serves, but no worker uses its disks.
    let state = metanode.wait(|state| state.calls.contains(&"report")).await;
    assert_eq!(state.calls, ["register", "report"]);
    for n in 1..=20 {
        node.put(id(n), &content(1, 1000), vec![]).await.unwrap();
        node.read(id(n)).await.unwrap();
    }
    assert!(machine.calls().iter().all(|(_, path)| !path.ends_with("probe")));
    metanode.change(|state| state.holds_reports = false);
    let scrubbed = |event: &EventKind| matches!(event, EventKind::ScrubFinished { .. });
    node.events.wait_for(scrubbed).await.unwrap();
    let order = node.events.subscribe_after(0).filter_map(|event| {
        let name = match event.kind {
            EventKind::NodeReported { .. } => Some("reported"),
            EventKind::ScrubFinished { .. } => Some("scrubbed"),
            _ => None,
        };
        std::future::ready(name)
    });
    assert_eq!(order.take(2).collect::<Vec<_>>().await, ["reported", "scrubbed"]);
}

//! Disks that break or hang: the node continues with the others, and reports the failure.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_datanode::Config;
use cairn_protocol::block::BlockError;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;

use crate::machine::{Health, Machine};
use crate::metanode::{Metanode, RecordedCalls};
use crate::support::{Http, Node, config, content, id};

/// A node with a good disk and one that can break.
async fn two_disks(change: impl FnOnce(&mut Config)) -> (Node, Machine) {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let [good, bad] = ["good", "bad"].map(|name| directory.path().join(name));
    start(directory, vec![good, bad.clone()], bad, change).await
}

async fn start(
    directory: Arc<tempfile::TempDir>,
    directories: Vec<PathBuf>,
    bad: PathBuf,
    change: impl FnOnce(&mut Config),
) -> (Node, Machine) {
    let machine = Machine::new(bad);
    let mut config = config(directory.path());
    config.directories = directories;
    change(&mut config);
    let disk = Arc::new(machine.clone());
    (Node::start_on(disk, directory, config, Arc::new(Http), Metanode::new()).await, machine)
}

/// The reasons of the failed volumes, as of the last heartbeat.
fn failures(state: &RecordedCalls) -> Vec<Option<String>> {
    let last = state.heartbeats.last();
    last.map(|heartbeat| heartbeat.volumes.iter().map(|volume| volume.failed.clone()).collect())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_volume_that_fails_is_taken_out_and_the_node_serves_on() {
    let (node, machine) = two_disks(|_| {}).await;
    // Both volumes get some of the forty blocks, except with a probability of 1 in 2^39.
    for n in 1..=40 {
        node.put(id(n), &content(1, 1000), vec![]).await.unwrap();
    }
    node.metanode.wait(|state| state.replicas.len() == 40).await;
    let volumes: Vec<_> = node.datanode.volumes().volumes().cloned().collect();
    let lost: BTreeSet<BlockId> = volumes[1].page(None, 100).into_iter().map(|(id, _)| id).collect();
    assert!(!lost.is_empty() && lost.len() < 40);

    machine.set(Health::Broken);
    // Blocks are sent until one of them goes to the bad disk. Each is stored or refused.
    let mut n = 100;
    while volumes[1].failure().is_none() {
        let _ = node.put(id(n), &content(1, 1000), vec![]).await;
        n += 1;
    }
    for n in 2000..2020 {
        node.put(id(n), &content(1, 1000), vec![]).await.unwrap();
    }
    node.events.wait_for(|event| matches!(event, EventKind::VolumeFailed { .. })).await.unwrap();
    let state = node.metanode.wait(|state| lost.iter().all(|id| !state.replicas.contains_key(id))).await;
    let usage = &state.heartbeats.last().unwrap().volumes;
    assert!(usage[0].failed.is_none() && usage[1].failed.is_some(), "{usage:?}");
    assert_eq!((usage[1].capacity, usage[1].free), (0, 0));
    // A good replica of a lost block may be stored again, on the other volume.
    let again = *lost.first().unwrap();
    node.put(again, &content(1, 1000), vec![]).await.unwrap();
    assert!(volumes[0].get(&again).is_some());
}

#[tokio::test]
async fn a_broken_disk_without_requests_is_noticed() {
    let (node, machine) = two_disks(|config| config.maintenance_interval = Duration::from_millis(1)).await;
    node.metanode.wait(|state| failures(state) == [None, None]).await;
    machine.set(Health::Broken);
    let state = node.metanode.wait(|state| failures(state).iter().any(Option::is_some)).await;
    let failures = failures(&state);
    assert_eq!(failures[0], None);
    assert!(failures[1].as_ref().unwrap().contains("Input/output error"), "{failures:?}");
}

#[tokio::test]
async fn a_disk_that_does_not_answer_is_taken_out_and_holds_up_no_request() {
    let (node, machine) = two_disks(|config| {
        config.maintenance_interval = Duration::from_millis(1);
        config.probe_timeout = Duration::from_millis(50);
    })
    .await;
    node.metanode.wait(|state| failures(state) == [None, None]).await;
    machine.set(Health::Hangs);
    let volumes: Vec<_> = node.datanode.volumes().volumes().cloned().collect();
    let taken_out = node.metanode.wait(|state| failures(state).iter().any(Option::is_some)).await;
    // On a slow machine the good disk may seem to hang as well.
    if volumes[0].failure().is_none() {
        assert!(failures(&taken_out)[1].as_ref().unwrap().contains("did not answer"), "{taken_out:?}");
        node.put(id(1), &content(1, 1000), vec![]).await.unwrap();
    }
    machine.set(Health::Well);
}

#[tokio::test]
async fn a_node_without_any_disk_left_lives_on_and_says_so() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let only = directory.path().join("only");
    let (node, machine) = start(directory, vec![only.clone()], only, |config| {
        config.maintenance_interval = Duration::from_millis(1);
    })
    .await;
    node.put(id(1), &content(1, 1000), vec![]).await.unwrap();
    node.metanode.wait(|state| state.replicas.len() == 1).await;
    machine.set(Health::Broken);
    let state = node.metanode.wait(|state| failures(state).iter().any(Option::is_some)).await;
    let usage = &state.heartbeats.last().unwrap().volumes;
    assert_eq!((usage.len(), usage[0].capacity, usage[0].free), (1, 0, 0));
    let so_far = state.heartbeats.len();
    let state = node.metanode.wait(|state| state.heartbeats.len() > so_far + 3).await;
    assert!(state.replicas.is_empty());
    let refused = node.put(id(2), &content(1, 1000), vec![]).await;
    assert!(matches!(refused, Err(BlockError::VolumeFailed { .. })), "{refused:?}");
}

/// The replicas of the disk return with it, and are reported again.
#[tokio::test]
async fn a_disk_that_is_broken_at_the_start_is_reported_as_failed_and_comes_back_with_a_restart() {
    let (node, _) = two_disks(|_| {}).await;
    for n in 1..=40 {
        node.put(id(n), &content(1, 1000), vec![]).await.unwrap();
    }
    let volumes = node.datanode.volumes().usage();
    let (directory, metanode, node_id) = (node.directory.clone(), node.metanode.clone(), node.id);
    node.stop().await;
    let directories = ["good", "bad"].map(|name| directory.path().join(name));
    let mut config = config(directory.path());
    config.directories = directories.to_vec();

    let machine = Machine::new(directories[1].clone());
    machine.set(Health::Broken);
    metanode.change(|state| state.heartbeats.clear());
    let (disk, http) = (Arc::new(machine), Arc::new(Http));
    let node = Node::start_on(disk, directory.clone(), config.clone(), http, metanode.clone()).await;
    assert_eq!(node.id, node_id);
    let told = |event: &EventKind| matches!(event, EventKind::VolumeFailed { volume, .. } if *volume == volumes[1].volume);
    node.events.wait_for(told).await.unwrap();
    let state = metanode.wait(|state| !state.heartbeats.is_empty()).await;
    assert!(failures(&state)[1].is_some() && state.replicas.len() < 40);
    node.put(id(100), &content(1, 1000), vec![]).await.unwrap();
    node.stop().await;

    metanode.change(|state| state.heartbeats.clear());
    let (disk, http) = (Arc::new(Machine::default()), Arc::new(Http));
    let node = Node::start_on(disk, directory, config, http, metanode.clone()).await;
    let state = metanode.wait(|state| !state.heartbeats.is_empty() && state.replicas.len() == 41).await;
    assert_eq!(failures(&state), [None, None]);
    drop(node);
}

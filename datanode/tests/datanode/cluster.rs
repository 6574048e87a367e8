//! A datanode's side of the cluster protocol: registration, block reports, incremental reports and commands.

use std::sync::Arc;

use cairn_datanode::RefusedError;
use cairn_datanode::volume::disk::RealDisk;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::cluster::{
    Action, ClusterError, Command, Generation, Lineage, REPORT_PAGE_MAX, ReportedReplica,
};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, ClusterId, NodeId, OpeningId};
use futures_util::StreamExt;
use uuid::Uuid;

use crate::metanode::{Metanode, RecordedCalls};
use crate::support::{Http, LENGTHS, Node, config, content, id, pieces, put_request};

fn replica(block: BlockId, bytes: &[u8]) -> ReportedReplica {
    ReportedReplica { block, length: bytes.len() as u64, crc32c: crc32c(bytes) }
}

fn order(id: u64, action: Action) -> Command {
    Command { id, issued_at: Timestamp(0), deadline: Timestamp(u64::MAX), action }
}

/// The result of a command in the heartbeats.
fn result(state: &RecordedCalls, command: u64) -> Option<Option<String>> {
    let results = state.heartbeats.iter().flat_map(|heartbeat| &heartbeat.finished);
    results.filter(|result| result.command == command).map(|result| result.error.clone()).next()
}

#[tokio::test]
async fn a_node_registers_then_sends_a_block_report_then_incremental_reports() {
    let node = Node::start().await;
    let state = node.metanode.wait(|state| !state.heartbeats.is_empty()).await;
    assert_eq!(state.registrations[0].node, node.id);
    assert_eq!(state.registrations[0].address, node.address);
    assert_eq!(state.registrations[0].cluster, None);
    assert_eq!(state.reports.len(), 1);
    let bytes = content(1, 1000);
    node.put(id(1), &bytes, vec![]).await.unwrap();
    node.metanode.wait(|state| state.replicas.get(&id(1)) == Some(&replica(id(1), &bytes))).await;
    node.metanode.change(|state| state.orders.push(order(1, Action::Delete { blocks: vec![id(1), id(2)] })));
    let state = node.metanode.wait(|state| result(state, 1).is_some()).await;
    assert_eq!(result(&state, 1), Some(None));
    assert!(state.replicas.is_empty());
    assert!(!node.holds(id(1)).await);
    let usage = &state.heartbeats[0].volumes[0];
    assert!(usage.capacity > 0 && usage.free > 0 && usage.failed.is_none(), "{usage:?}");
}

/// A delete that came late, or overlapped with another one after its deadline, once deleted a replica that the node had been ordered to
/// make in the meantime.
#[tokio::test]
async fn a_delete_skips_what_was_stored_after_it_was_given_and_the_next_one_does_not() {
    let node = Node::start().await;
    for (n, length) in (1..).zip(LENGTHS) {
        node.metanode.wait(|state| !state.heartbeats.is_empty()).await;
        node.metanode.change(|state| state.holds_heartbeats = true);
        // The command must come in the reply to a heartbeat that was sent before the block was stored.
        node.metanode.wait(|state| state.heartbeats_held > 0).await;
        let bytes = content(1, length);
        node.put(id(n), &bytes, vec![]).await.unwrap();
        let command = u64::try_from(n).unwrap() * 10;
        node.metanode.change(|state| {
            state.orders.push(order(command, Action::Delete { blocks: vec![id(n)] }));
            state.holds_heartbeats = false;
        });
        let state = node.metanode.wait(|state| result(state, command).is_some()).await;
        assert_eq!(result(&state, command), Some(None));
        assert!(node.holds(id(n)).await);
        node.metanode.wait(|state| state.replicas.contains_key(&id(n))).await;
        let again = order(command + 1, Action::Delete { blocks: vec![id(n)] });
        node.metanode.change(|state| state.orders.push(again));
        node.metanode.wait(|state| result(state, command + 1).is_some()).await;
        assert!(!node.holds(id(n)).await);
    }
}

#[tokio::test]
async fn a_deleted_block_comes_back_on_the_metanodes_command_and_is_reported_as_stored() {
    let mut node = Node::start().await;
    for (n, length) in (1..).zip(LENGTHS) {
        node.put(id(n), &content(1, length), vec![]).await.unwrap();
    }
    let both = || vec![id(1), id(2)];
    node.metanode.wait(|state| state.replicas.len() == 2).await;
    node.metanode.change(|state| state.orders.push(order(1, Action::Delete { blocks: both() })));
    node.metanode.wait(|state| result(state, 1).is_some() && state.replicas.is_empty()).await;
    assert!(!node.holds(id(1)).await && !node.holds(id(2)).await);
    // A block in the trash is in no report, and is still there after a restart.
    node = node.restart(|_| {}).await;
    let state = node.metanode.wait(|state| state.reports.len() == 2 && !state.heartbeats.is_empty()).await;
    assert!(state.reports[1].replicas.is_empty());
    node.metanode
        .change(|state| state.orders.push(order(2, Action::Restore { blocks: vec![id(1), id(2), id(3)] })));
    let state = node.metanode.wait(|state| result(state, 2).is_some() && state.replicas.len() == 2).await;
    assert_eq!(result(&state, 2), Some(None));
    let trash = state.heartbeats.iter().flat_map(|heartbeat| &heartbeat.volumes).map(|volume| volume.trash);
    assert!(trash.max() > Some(LENGTHS[1] as u64));
    for (n, length) in (1..).zip(LENGTHS) {
        assert_eq!(state.replicas[&id(n)], replica(id(n), &content(1, length)));
        assert!(node.read(id(n)).await.unwrap() == content(1, length));
    }
}

#[tokio::test]
async fn a_restore_reports_a_block_that_is_held_and_one_that_is_not_in_the_trash_is_no_error() {
    let node = Node::start().await;
    let bytes = content(1, 1000);
    node.put(id(1), &bytes, vec![]).await.unwrap();
    node.metanode.wait(|state| state.replicas.get(&id(1)) == Some(&replica(id(1), &bytes))).await;
    node.metanode.change(|state| {
        state.replicas.clear();
        state.orders.push(order(1, Action::Restore { blocks: vec![id(1), id(2)] }));
    });
    let state = node.metanode.wait(|state| result(state, 1).is_some() && !state.replicas.is_empty()).await;
    assert_eq!(result(&state, 1), Some(None));
    assert_eq!(state.replicas.into_values().collect::<Vec<_>>(), [replica(id(1), &bytes)]);
}

#[tokio::test]
async fn a_report_comes_in_pages_in_order_and_covers_all() {
    let node = Node::start_with(|config| config.receives_max = 1000).await;
    let blocks = node.datanode.blocks();
    let count = REPORT_PAGE_MAX as u128 + 200;
    let puts = (1..=count).map(|n| {
        let bytes = content(n as u64, 3);
        let blocks = blocks.clone();
        let request = put_request(node.id, id(n), &bytes, vec![]);
        async move { blocks.put(request, pieces(&bytes)).await.unwrap() }
    });
    futures_util::stream::iter(puts).buffer_unordered(500).for_each(|_| async {}).await;
    let metanode = node.metanode.clone();
    let before = metanode.wait(|_| true).await.reports.len();
    // A block that the node does not hold, in the range of the first page.
    metanode.change(|state| {
        state.replicas.insert(id(0), replica(id(0), b"x"));
        state.errors.push_back(ClusterError::Reregister);
    });
    let state = metanode.wait(|state| state.reports.len() == before + 2).await;
    let pages = &state.reports[before..];
    assert_eq!((pages[0].after, pages[0].replicas.len()), (None, REPORT_PAGE_MAX));
    assert_eq!((pages[1].after, pages[1].through), (pages[0].through, None));
    assert_eq!(state.replicas.keys().copied().collect::<Vec<_>>(), (1..=count).map(id).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_node_keeps_its_identity_and_its_blocks_over_restarts() {
    let mut node = Node::start().await;
    let first = node.id;
    for (n, length) in (1..).zip(LENGTHS) {
        node.put(id(n), &content(1, length), vec![]).await.unwrap();
    }
    let cluster = node.metanode.cluster;
    node = node.restart(|_| {}).await;
    assert_eq!(node.id, first);
    let state = node.metanode.wait(|state| state.reports.len() == 2).await;
    assert_eq!(state.registrations[1].cluster, Some(cluster));
    assert_eq!(state.reports[1].replicas.len(), 2);
    for (n, length) in (1..).zip(LENGTHS) {
        assert_eq!(node.read(id(n)).await.unwrap(), content(1, length));
    }
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_in_words_and_stops() {
    let node = Node::start().await;
    node.metanode.wait(|state| !state.heartbeats.is_empty()).await;
    let directory = node.directory.clone();
    node.stop().await;
    let other = Metanode::of_cluster(ClusterId(Uuid::from_u128(78)));
    let config = config(directory.path());
    let node = Node::start_on(Arc::new(RealDisk), directory, config, Arc::new(Http), other).await;
    let refused = node.refused().await;
    assert!(matches!(refused, RefusedError::OtherCluster { .. }));
    let words = refused.to_string();
    assert!(words.contains(&Uuid::from_u128(77).to_string()), "{words}");
    assert!(words.contains(&Uuid::from_u128(78).to_string()), "{words}");
}

#[tokio::test]
async fn a_metanode_that_cannot_be_reached_is_tried_again_and_hears_everything_in_the_end() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let metanode = Metanode::new();
    let away = || ClusterError::Unavailable { reason: "away".to_owned() };
    metanode.change(|state| state.errors.extend([away(), ClusterError::Internal, away(), away()]));
    let config = config(directory.path());
    let node = Node::start_on(Arc::new(RealDisk), directory, config, Arc::new(Http), metanode).await;
    node.metanode.wait(|state| !state.heartbeats.is_empty()).await;
    node.metanode.change(|state| state.errors.extend([away(), away(), away()]));
    let bytes = content(1, 1000);
    node.put(id(1), &bytes, vec![]).await.unwrap();
    let state = node.metanode.wait(|state| state.replicas.contains_key(&id(1))).await;
    assert_eq!(state.registrations.len(), 1);
}

#[tokio::test]
async fn a_node_registers_again_when_the_metanode_asks_for_it_and_reports_all() {
    let node = Node::start().await;
    node.put(id(1), &content(1, 1000), vec![]).await.unwrap();
    node.metanode.wait(|state| state.replicas.contains_key(&id(1))).await;
    node.metanode.change(|state| {
        state.replicas.clear();
        state.errors.push_back(ClusterError::Reregister);
    });
    let state = node.metanode.wait(|state| state.reports.len() == 2).await;
    assert_eq!(state.reports[1].incarnation, 2);
    assert!(state.replicas.contains_key(&id(1)));
}

#[tokio::test]
async fn a_block_is_copied_from_the_first_source_that_has_an_intact_replica() {
    let nodes = [Node::start().await, Node::start().await, Node::start().await];
    for (n, length) in (1..).zip(LENGTHS) {
        let (right, wrong) = (content(1, length), content(2, length));
        nodes[1].put(id(n), &wrong, vec![]).await.unwrap();
        nodes[2].put(id(n), &right, vec![]).await.unwrap();
        let dead = (NodeId(Uuid::from_u128(404)), "http://127.0.0.1:1".to_owned());
        let sources =
            vec![dead, (nodes[1].id, nodes[1].address.clone()), (nodes[2].id, nodes[2].address.clone())];
        let action = Action::Replicate { replica: replica(id(n), &right), sources };
        nodes[0].metanode.change(|state| state.orders.push(order(n as u64, action)));
        let state = nodes[0].metanode.wait(|state| result(state, n as u64).is_some()).await;
        assert_eq!(result(&state, n as u64), Some(None));
        assert_eq!(state.replicas.get(&id(n)), Some(&replica(id(n), &right)));
        assert_eq!(nodes[0].read(id(n)).await.unwrap(), right);
    }
}

#[tokio::test]
async fn a_copy_for_which_no_source_has_an_intact_replica_is_reported_as_failed_and_not_kept() {
    let nodes = [Node::start().await, Node::start().await];
    nodes[1].put(id(1), &content(2, 1000), vec![]).await.unwrap();
    let sources = vec![(nodes[1].id, nodes[1].address.clone())];
    let action = Action::Replicate { replica: replica(id(1), &content(1, 1000)), sources };
    nodes[0].metanode.change(|state| state.orders.push(order(1, action)));
    let state = nodes[0].metanode.wait(|state| result(state, 1).is_some()).await;
    assert!(result(&state, 1).flatten().is_some());
    assert!(!nodes[0].holds(id(1)).await);
}

#[tokio::test]
async fn a_command_whose_deadline_has_passed_is_not_carried_out() {
    let node = Node::start().await;
    node.put(id(1), &content(1, 1000), vec![]).await.unwrap();
    let late = Command { deadline: Timestamp(1), ..order(1, Action::Delete { blocks: vec![id(1)] }) };
    node.metanode.change(|state| state.orders.push(late));
    let state = node.metanode.wait(|state| result(state, 1).is_some()).await;
    assert!(result(&state, 1).flatten().is_some());
    assert!(node.holds(id(1)).await);
}

fn generation(opening: u128, sequence: u64) -> Generation {
    Generation { opening: OpeningId(Uuid::from_u128(opening)), sequence }
}

#[tokio::test]
async fn the_generation_of_the_database_that_a_node_has_seen_is_reported_and_kept_over_restarts() {
    let mut node = Node::start().await;
    let last = |state: &RecordedCalls| state.heartbeats.last().map(|heartbeat| heartbeat.seen.clone());
    node.metanode.change(|state| state.lineage = Lineage { latest: Some(generation(1, 5)), sole: true });
    node.metanode.wait(|state| last(state) == Some(vec![generation(1, 5)])).await;
    // The metanode continues on an older backup of the database. The node keeps the generations of both.
    node.metanode.change(|state| state.lineage = Lineage { latest: Some(generation(2, 4)), sole: false });
    let both = vec![generation(1, 5), generation(2, 4)];
    node.metanode.wait(|state| last(state) == Some(both.clone())).await;
    node = node.restart(|_| {}).await;
    let state = node.metanode.wait(|state| state.registrations.len() == 2).await;
    assert_eq!((state.registrations[0].incarnation, &state.registrations[0].seen), (0, &Vec::new()));
    assert_eq!((state.registrations[1].incarnation, &state.registrations[1].seen), (1, &both));
    node.metanode.change(|state| state.lineage.sole = true);
    node.metanode.wait(|state| last(state) == Some(vec![generation(2, 4)])).await;
}

#[tokio::test]
async fn a_page_is_read_again_after_blocks_were_brought_back() {
    let node = Node::start().await;
    let bytes = content(1, 1000);
    node.put(id(1), &bytes, vec![]).await.unwrap();
    let before = node.metanode.wait(|state| state.replicas.contains_key(&id(1))).await.reports.len();
    node.metanode.change(|state| {
        state.first.extend([vec![id(2), id(3)], vec![id(4)]].map(|blocks| Action::Restore { blocks }));
        state.wants_report = true;
    });
    let state = node.metanode.wait(|state| state.reports.len() == before + 3).await;
    let tried: Vec<_> = state.reports[before..].iter().map(|page| page.restored_through).collect();
    assert_eq!(tried, [None, Some(id(3)), Some(id(4))]);
    assert!(state.reports[before..].iter().all(|page| page.can_restore && page.replicas.len() == 1));
}

#[tokio::test]
async fn all_replicas_are_reported_again_in_each_interval_without_a_new_registration() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let metanode = Metanode::new();
    metanode.change(|state| state.report_interval_ms = 20);
    let config = config(directory.path());
    let node = Node::start_on(Arc::new(RealDisk), directory, config, Arc::new(Http), metanode).await;
    let bytes = content(1, 1000);
    node.put(id(1), &bytes, vec![]).await.unwrap();
    let state = node.metanode.wait(|state| state.reports.len() >= 4).await;
    assert_eq!(state.registrations.len(), 1);
    // A difference that no heartbeat reported is corrected by the next report.
    node.metanode.change(|state| {
        state.replicas.clear();
        state.replicas.insert(id(9), replica(id(9), b"x"));
    });
    let state = node.metanode.wait(|state| state.replicas.contains_key(&id(1))).await;
    assert_eq!(state.replicas.len(), 1);
}

#[tokio::test]
async fn acknowledgements_carry_the_incarnation_of_each_node_of_the_pipeline() {
    let (first, second) = (Node::start().await, Node::start().await);
    for node in [&first, &second] {
        node.metanode.wait(|state| !state.heartbeats.is_empty()).await;
    }
    second.metanode.change(|state| state.errors.push_back(ClusterError::Reregister));
    second
        .metanode
        .wait(|state| state.registrations.len() == 2 && state.heartbeats.last().unwrap().incarnation == 2)
        .await;
    let bytes = content(1, 1000);
    let reply = first.put(id(1), &bytes, vec![second.target(id(1))]).await.unwrap();
    assert_eq!(reply.incarnations, [(first.id, 1), (second.id, 2)]);
    // At the second time, the node already holds the block.
    let reply = first.put(id(1), &bytes, vec![]).await.unwrap();
    assert_eq!(reply.incarnations, [(first.id, 1)]);
}

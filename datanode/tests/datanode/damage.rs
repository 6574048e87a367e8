//! Damaged replicas: no damaged byte is sent, and the damage is found, reported and repaired.

use std::sync::Arc;
use std::time::Duration;

use cairn_datanode::{Config, Datanode};
use cairn_protocol::block::BlockError;
use cairn_protocol::cluster::{Heartbeat, ReplicaChange};
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::event::{EventBus, EventKind};
use cairn_protocol::id::BlockId;
use tokio_util::sync::CancellationToken;

use crate::metanode::Metanode;
use crate::support::{
    Http, LENGTHS, Node, collect, config, content, flip_bits, id, pieces, put_request, secret,
};

async fn set_aside(node: &Node, block: BlockId) {
    let found = |event: &EventKind| *event == EventKind::ReplicaCorrupt { block, node: node.id };
    node.events.wait_for(found).await.unwrap();
    node.metanode
        .wait(|state| {
            let reported = |heartbeat: &Heartbeat| heartbeat.changes.contains(&ReplicaChange::Corrupt(block));
            state.heartbeats.iter().any(reported)
        })
        .await;
}

#[tokio::test]
async fn a_flipped_bit_never_leaves_the_node_and_is_reported_and_can_be_repaired() {
    for length in LENGTHS {
        let mut node = Node::start().await;
        let bytes = content(1, length);
        node.put(id(1), &bytes, vec![]).await.unwrap();
        // The damage is near the end of the block, so the first pieces are intact and are sent.
        flip_bits(node.directory.path(), 100);
        let sent = match node.get(id(1), None).await {
            Ok(read) => collect(read.data).await,
            Err(error) => Err(error),
        };
        assert!(sent.is_err());
        set_aside(&node, id(1)).await;
        assert!(matches!(node.get(id(1), None).await, Err(BlockError::Corrupt)));
        // After a restart it is reported as corrupt again, and not as held.
        node = node.restart(|_| {}).await;
        let state = node.metanode.wait(|state| state.reports.len() == 2).await;
        assert_eq!(state.reports[1].replicas, []);
        node.put(id(1), &bytes, vec![]).await.unwrap();
        assert_eq!(node.read(id(1)).await.unwrap(), bytes);
        // Once the node has a good replica again, the damaged one is not reported any more.
        node.metanode.change(|state| state.heartbeats.clear());
        node = node.restart(|_| {}).await;
        let state = node.metanode.wait(|state| state.reports.len() == 3 && state.heartbeats.len() > 1).await;
        assert_eq!(state.reports[2].replicas.len(), 1);
        let mut changes = state.heartbeats.iter().flat_map(|heartbeat| &heartbeat.changes);
        assert!(!changes.any(|change| matches!(change, ReplicaChange::Corrupt(_))));
    }
}

#[tokio::test]
async fn the_scrubber_finds_damage_in_blocks_that_are_never_read() {
    for length in LENGTHS {
        let node = Node::start_with(|config| {
            config.scrub_period = Duration::from_millis(1);
            config.scrub_bytes_per_second_max = u64::MAX;
        })
        .await;
        for n in 1..=3 {
            node.put(id(n), &content(n as u64, length), vec![]).await.unwrap();
        }
        let good =
            |event: &EventKind| matches!(event, EventKind::ScrubFinished { blocks: 3, corrupt: 0, .. });
        node.events.wait_for(good).await.unwrap();
        // The last block of the shared segment, and each block in a dedicated segment.
        flip_bits(node.directory.path(), 100);
        set_aside(&node, id(3)).await;
        let counted =
            |event: &EventKind| matches!(event, EventKind::ScrubFinished { corrupt, .. } if *corrupt > 0);
        node.events.wait_for(counted).await.unwrap();
    }
}

#[tokio::test]
async fn the_scrubber_reads_no_faster_than_it_may() {
    const MIB: usize = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    let start = Timestamp(1_000_000);
    let (env, clock) = Env::manual(1, start);
    let events = EventBus::new(env.clone());
    let config = Config {
        scrub_period: Duration::from_secs(1),
        scrub_bytes_per_second_max: MIB as u64,
        ..config(directory.path())
    };
    let datanode = Datanode::open(config, Arc::new(Http), secret(), env, events.clone()).await.unwrap();
    for n in 1..=4 {
        let bytes = content(1, MIB);
        let request = put_request(datanode.node(), id(n), &bytes, vec![]);
        datanode.blocks().put(request, pieces(&bytes)).await.unwrap();
    }
    let running = datanode.run(Metanode::new(), CancellationToken::new());
    let finished = events.wait_for(|event| matches!(event, EventKind::ScrubFinished { blocks: 4, .. }));
    let passing = tokio::spawn(async move {
        loop {
            clock.advance(Duration::from_millis(50));
            tokio::task::yield_now().await;
        }
    });
    tokio::select! {
        _ = running => panic!("the node stopped"),
        event = finished => {
            let took = event.unwrap().at.since(start);
            assert!(took >= Duration::from_secs(4), "{took:?}");
        }
    }
    passing.abort();
    datanode.close().await;
}

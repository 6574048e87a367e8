//! Orders to the scrubber: rounds, pauses and rates that operators decide.

use std::sync::Arc;
use std::time::Duration;

use cairn_datanode::{Config, Datanode};
use cairn_protocol::cluster::{ScrubOrder, ScrubProgress};
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::event::{EventBus, EventKind};
use tokio_util::sync::CancellationToken;

use crate::metanode::{Metanode, RecordedCalls};
use crate::support::{Http, LENGTHS, Node, config, content, flip_bits, id, pieces, put_request, secret};

fn ordered(round: u64) -> ScrubOrder {
    ScrubOrder { round, ..ScrubOrder::default() }
}

fn progress(state: &RecordedCalls) -> Option<ScrubProgress> {
    state.heartbeats.last()?.scrub.clone()
}

async fn finished(node: &Node, round: u64) -> ScrubProgress {
    let is_finished =
        |state: &RecordedCalls| progress(state).is_some_and(|progress| progress.finished_round == round);
    progress(&node.metanode.wait(is_finished).await).unwrap()
}

/// A node with three blocks that has finished its first regular round.
async fn node() -> Node {
    let node = Node::start().await;
    let is_over = |event: &EventKind| matches!(event, EventKind::ScrubFinished { .. });
    node.events.wait_for(is_over).await.unwrap();
    for n in 1..=3 {
        node.put(id(n), &content(1, LENGTHS[n as usize % 2]), vec![]).await.unwrap();
    }
    node
}

#[tokio::test]
async fn a_round_that_is_ordered_begins_at_once_and_not_again_after_a_restart() {
    let mut node = node().await;
    node.metanode.change(|state| state.scrub = ordered(5));
    let done = finished(&node, 5).await;
    assert_eq!((done.round, done.blocks, done.blocks_in_all, done.corrupt), (5, 3, 3, 0));
    assert!(!done.running && done.finished_at.is_some());
    let length: usize = (1..=3).map(|n| LENGTHS[n % 2]).sum();
    assert_eq!(done.bytes, length as u64);

    node = node.restart(|_| {}).await;
    // The first round after the start is a regular one, although each heartbeat's reply repeats the old order.
    let told = |state: &RecordedCalls| -> Vec<ScrubProgress> {
        let of_this_start = state.heartbeats.iter().filter(|heartbeat| heartbeat.incarnation == 2);
        of_this_start.filter_map(|heartbeat| heartbeat.scrub.clone()).collect()
    };
    let told = told(&node.metanode.wait(|state| told(state).len() > 5).await);
    assert!(told.iter().all(|progress| progress.round == 0 && progress.finished_round == 5), "{told:?}");
    node.metanode.change(|state| state.scrub = ordered(6));
    assert_eq!(finished(&node, 6).await.blocks, 3);
}

#[tokio::test]
async fn an_ordered_round_finds_damage_and_counts_it() {
    let node = node().await;
    flip_bits(node.directory.path(), 100);
    node.metanode.change(|state| state.scrub = ordered(1));
    let done = finished(&node, 1).await;
    assert_eq!((done.blocks, done.corrupt), (3, 3));
}

#[tokio::test]
async fn a_paused_scrubber_reads_nothing_and_then_goes_on() {
    let node = node().await;
    node.metanode.change(|state| state.scrub = ScrubOrder { paused: true, ..ordered(1) });
    let waits = |state: &RecordedCalls| {
        progress(state).is_some_and(|progress| progress.round == 1 && !progress.running)
    };
    let so_far = node.metanode.wait(waits).await.heartbeats.len();
    let state = node.metanode.wait(|state| state.heartbeats.len() > so_far + 5).await;
    let paused = progress(&state).unwrap();
    assert_eq!((paused.blocks, paused.bytes, paused.finished_round), (0, 0, 0));
    node.metanode.change(|state| state.scrub.paused = false);
    assert_eq!(finished(&node, 1).await.blocks, 3);
}

#[tokio::test]
async fn a_later_order_begins_from_the_beginning_whatever_is_under_way() {
    let node = node().await;
    // At one byte a second the round would take weeks.
    node.metanode.change(|state| state.scrub = ScrubOrder { rate: Some(1), ..ordered(1) });
    let begun = |state: &RecordedCalls| {
        progress(state).is_some_and(|progress| progress.round == 1 && progress.running && progress.bytes > 0)
    };
    node.metanode.wait(begun).await;
    node.metanode.change(|state| state.scrub = ordered(2));
    let done = finished(&node, 2).await;
    assert_eq!((done.round, done.blocks), (2, 3));
}

#[tokio::test]
async fn the_rate_that_an_operator_sets_holds_for_the_round_that_is_under_way() {
    const MIB: usize = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    let start = Timestamp(1_000_000);
    let (env, clock) = Env::manual(1, start);
    let events = EventBus::new(env.clone());
    let config = Config { scrub_bytes_per_second_max: u64::MAX, ..config(directory.path()) };
    let datanode = Datanode::open(config, Arc::new(Http), secret(), env, events).await.unwrap();
    for n in 1..=4 {
        let bytes = content(1, MIB);
        let request = put_request(datanode.node(), id(n), &bytes, vec![]);
        datanode.blocks().put(request, pieces(&bytes)).await.unwrap();
    }
    let metanode = Metanode::new();
    metanode.change(|state| state.scrub = ScrubOrder { rate: Some(MIB as u64), ..ordered(1) });
    let running = datanode.run(metanode.clone(), CancellationToken::new());
    let finished =
        metanode.wait(|state| progress(state).is_some_and(|progress| progress.finished_round == 1));
    let passing = tokio::spawn(async move {
        loop {
            clock.advance(Duration::from_millis(50));
            tokio::task::yield_now().await;
        }
    });
    tokio::select! {
        _ = running => panic!("the node stopped"),
        state = finished => {
            let took = progress(&state).unwrap().finished_at.unwrap().since(start);
            assert!(took >= Duration::from_millis(3900), "{took:?}");
        }
    }
    passing.abort();
    datanode.close().await;
}

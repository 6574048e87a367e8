//! Promises about reads: for any fault of replicas and nodes, the bytes are correct or the body fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::checksum::CHUNK_SIZE;
use cairn_protocol::metadata::ReplicaProblem;
use futures_util::{FutureExt, StreamExt};

use super::world::{Fault, World, bytes};
use crate::data::{DataConfig, DataError, DataPath};

const BLOCK: u64 = 256 * 1024;

/// Stores an object of five blocks, the last one short, on all three nodes.
async fn stored() -> (Arc<World>, DataPath, Bytes) {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let whole = bytes(4 * BLOCK as usize + 321);
    world.put(&data, vec![whole.clone()]).await;
    (world, data, whole)
}

async fn reads_in_spite_of(fault: Fault, problem: ReplicaProblem) {
    let (world, data, whole) = stored().await;
    // This node is tried first.
    world.fault(0, fault.clone());
    let read = world.while_time_passes(world.get(&data, 0..whole.len() as u64)).await.unwrap();
    assert!(read == whole, "{fault:?}");
    let reported = world.until(|world| world.meta().reports.contains(&(world.nodes[0].id, problem)));
    world.while_time_passes(reported).await;
    assert!(world.meta().reports.iter().all(|(node, _)| *node == world.nodes[0].id), "{fault:?}");
}

#[tokio::test]
async fn a_dead_node_is_read_around_and_reported() {
    reads_in_spite_of(Fault::Down, ReplicaProblem::Unreachable).await;
}

#[tokio::test]
async fn a_node_that_stands_still_is_read_around_and_reported() {
    reads_in_spite_of(Fault::Stopped, ReplicaProblem::Unreachable).await;
}

#[tokio::test]
async fn a_node_that_dies_in_the_middle_of_a_block_is_read_around_without_a_gap() {
    for after in [0, 1, CHUNK_SIZE, CHUNK_SIZE + 1, 200_000] {
        reads_in_spite_of(Fault::BreaksOff(after), ReplicaProblem::Unreachable).await;
    }
}

#[tokio::test]
async fn a_node_that_goes_silent_in_the_middle_of_a_block_is_read_around_without_a_gap() {
    reads_in_spite_of(Fault::GoesSilent(70_000), ReplicaProblem::Unreachable).await;
}

#[tokio::test]
async fn a_wrong_byte_anywhere_is_never_passed_on_and_is_reported() {
    for at in [0, CHUNK_SIZE, 3 * CHUNK_SIZE - 1] {
        let (world, data, whole) = stored().await;
        world.fault(0, Fault::Corrupt(at));
        let read = world.get(&data, 0..BLOCK).await.unwrap();
        assert!(read == whole.slice(..BLOCK as usize), "{at}");
        world.until(|world| world.meta().reports == [(world.nodes[0].id, ReplicaProblem::Corrupt)]).await;
    }
}

#[tokio::test]
async fn a_replica_whose_table_is_right_for_other_bytes_is_not_believed() {
    reads_in_spite_of(Fault::Impostor, ReplicaProblem::Corrupt).await;
}

#[tokio::test]
async fn a_replica_that_is_not_there_is_reported_missing() {
    let (world, data, whole) = stored().await;
    let located = world.located(0..BLOCK, 10);
    world.nodes[0].blocks.lock().unwrap().clear();
    let body: Vec<_> = data.read(located).await.unwrap().map(Result::unwrap).collect().await;
    assert!(body.concat() == whole.slice(..BLOCK as usize));
    world.until(|world| world.meta().reports.contains(&(world.nodes[0].id, ReplicaProblem::Missing))).await;
}

#[tokio::test]
async fn nobody_waits_long_for_a_node_that_stands_still() {
    let (world, data, whole) = stored().await;
    world.fault(0, Fault::Stopped);
    let took = async |of: usize| {
        let began = world.env.monotonic();
        let read = world.while_time_passes(world.get(&data, 0..of as u64)).await.unwrap();
        assert!(read == whole.slice(..of));
        world.env.monotonic() - began
    };
    // The first read finds out that the node hangs. The next one avoids it.
    let first = took(whole.len()).await;
    assert!(first < Duration::from_secs(2), "{first:?}");
    let second = took(10).await;
    assert!(second < Duration::from_secs(1), "{second:?}");

    // The delays of two nodes that hang add up.
    let (world, data, whole) = stored().await;
    world.fault(0, Fault::Stopped);
    world.fault(1, Fault::Stopped);
    let read = world.while_time_passes(world.get(&data, 0..whole.len() as u64)).await.unwrap();
    assert!(read == whole);
    assert!(world.env.monotonic() < Duration::from_secs(3), "{:?}", world.env.monotonic());
}

#[tokio::test]
async fn a_node_that_answers_soon_is_the_only_one_asked() {
    let (world, data, whole) = stored().await;
    world.get(&data, 0..whole.len() as u64).await.unwrap();
    let asked: Vec<usize> = world.nodes.iter().map(|node| *node.gets.lock().unwrap()).collect();
    assert_eq!(asked.iter().sum::<usize>(), 5, "{asked:?}");
}

/// Each block was opened in a task, which costs more than to read a small block from memory.
#[tokio::test]
async fn a_replica_that_answers_at_once_is_read_without_waiting_for_a_task() {
    let (world, data, whole) = stored().await;
    let mut body = data.read(world.located(0..100, 10)).now_or_never().expect("no wait").unwrap();
    assert!(body.next().now_or_never().expect("no wait").unwrap().unwrap() == whole.slice(..100));
    // A node that refuses at once does not change that: the next one is asked.
    world.fault(0, Fault::Down);
    assert!(data.read(world.located(0..100, 10)).now_or_never().expect("no wait").is_ok());
}

/// A reader that no longer waits must not keep the metanode from learning that a node does not answer.
#[tokio::test]
async fn a_node_that_does_not_answer_is_reported_also_when_the_reader_has_left() {
    let (world, data, _) = stored().await;
    world.fault(0, Fault::Stopped);
    assert!(data.read(world.located(0..100, 10)).now_or_never().is_none());
    let reported =
        world.until(|world| world.meta().reports.contains(&(world.nodes[0].id, ReplicaProblem::Unreachable)));
    world.while_time_passes(reported).await;
}

#[tokio::test]
async fn a_node_that_failed_is_not_asked_again_for_every_block() {
    let (world, data, whole) = stored().await;
    world.fault(0, Fault::Stopped);
    world.while_time_passes(world.get(&data, 0..whole.len() as u64)).await.unwrap();
    assert!(*world.nodes[0].gets.lock().unwrap() <= 2);
}

#[tokio::test]
async fn a_range_touches_only_its_chunks() {
    let (world, data, whole) = stored().await;
    let start = BLOCK + 3 * CHUNK_SIZE as u64 + 10;
    // The wrong byte is in a chunk that the range does not need.
    world.fault(0, Fault::Corrupt(0));
    let read = world.get(&data, start..start + 100).await.unwrap();
    assert!(read == whole.slice(start as usize..start as usize + 100));
    assert!(world.meta().reports.is_empty());
}

#[tokio::test]
async fn extents_beyond_those_of_the_lookup_are_requested() {
    let (world, data, whole) = stored().await;
    let located = world.located(5..whole.len() as u64 - 5, 1);
    assert!(located.more);
    let body: Vec<_> = data.read(located).await.unwrap().map(Result::unwrap).collect().await;
    assert!(body.concat() == whole.slice(5..whole.len() - 5));
}

#[tokio::test]
async fn when_no_replica_can_be_read_there_is_an_error_before_the_first_byte() {
    let (world, data, _) = stored().await;
    (0..3).for_each(|node| world.fault(node, Fault::Down));
    let error = world.while_time_passes(data.read(world.located(0..10, 10))).await.unwrap_err();
    assert!(matches!(error, DataError::Unreadable { .. }), "{error:?}");
    // Nodes that do not answer may return, so the read waits for a limited time.
    let passed = world.env.monotonic();
    assert!((20..40).contains(&passed.as_secs()), "{passed:?}");
}

/// All replicas of a block were bad, as the metanode and each node reported. A read waited for 104 s before it failed,
/// although nothing could change.
#[tokio::test]
async fn a_read_fails_soon_when_all_replicas_are_bad_or_missing() {
    for kind in ["wrong bytes", "another block", "missing", "none known", "bad and missing"] {
        let (world, data, _) = stored().await;
        let located = world.located(0..10, 10);
        for node in 0..3 {
            match kind {
                "wrong bytes" => world.fault(node, Fault::Corrupt(0)),
                "another block" => world.fault(node, Fault::Impostor),
                "bad and missing" if node == 1 => world.fault(node, Fault::Corrupt(0)),
                _ => world.nodes[node].blocks.lock().unwrap().clear(),
            }
        }
        let located = if kind == "none known" { world.located(0..10, 10) } else { located };
        let error = world.while_time_passes(data.read(located)).await.unwrap_err();
        assert!(matches!(error, DataError::Unreadable { .. }), "{kind}: {error:?}");
        let passed = world.env.monotonic();
        assert!(passed < Duration::from_secs(3), "{kind}: {passed:?}");
    }
}

#[tokio::test]
async fn a_replica_known_to_be_bad_on_a_node_that_is_down_is_not_waited_for() {
    let (world, data, _) = stored().await;
    (0..3).for_each(|node| world.fault(node, Fault::Down));
    world.meta().bad = world.nodes.iter().map(|node| node.id).collect();
    let error = world.while_time_passes(data.read(world.located(0..10, 10))).await.unwrap_err();
    assert!(matches!(error, DataError::Unreadable { .. }), "{error:?}");
    assert!(world.env.monotonic() < Duration::from_secs(3), "{:?}", world.env.monotonic());
}

#[tokio::test]
async fn one_good_replica_that_may_come_back_is_waited_for() {
    let (world, data, whole) = stored().await;
    (0..2).for_each(|node| world.fault(node, Fault::Corrupt(0)));
    world.fault(2, Fault::Down);
    let reading = tokio::spawn({
        let (world, data) = (world.clone(), data.clone());
        async move { world.get(&data, 0..10).await }
    });
    world.while_time_passes(world.until(|world| world.env.monotonic() > Duration::from_secs(15))).await;
    world.fault(2, Fault::None);
    assert!(world.while_time_passes(reading).await.unwrap().unwrap() == whole.slice(..10));
}

#[tokio::test]
async fn replicas_that_come_back_in_time_are_found() {
    let (world, data, whole) = stored().await;
    (0..3).for_each(|node| world.fault(node, Fault::Down));
    let reading = tokio::spawn({
        let (world, data) = (world.clone(), data.clone());
        let length = whole.len() as u64;
        async move { world.get(&data, 0..length).await }
    });
    world.while_time_passes(world.until(|world| world.meta().reports.len() >= 6)).await;
    world.fault(2, Fault::None);
    assert!(world.while_time_passes(reading).await.unwrap().unwrap() == whole);
}

#[tokio::test]
async fn an_object_that_becomes_unreadable_breaks_off_instead_of_ending() {
    let (world, data, whole) = stored().await;
    let mut body = data.read(world.located(0..whole.len() as u64, 10)).await.unwrap();
    let mut received = body.next().await.unwrap().unwrap().to_vec();
    (0..3).for_each(|node| world.fault(node, Fault::Down));
    let error = loop {
        match world.while_time_passes(body.next()).await {
            Some(Ok(piece)) => received.extend_from_slice(&piece),
            Some(Err(error)) => break error,
            None => panic!("it ended as if it were whole"),
        }
    };
    assert!(matches!(error, DataError::Unreadable { .. }));
    assert!(received.len() < whole.len() && whole.starts_with(&received));
    assert!(body.next().await.is_none());
}

/// A download held half a megabyte until its end. 16 clients that had stopped reading used up the budget of 8 MiB, and
/// every other download got `SlowDown`.
#[tokio::test]
async fn clients_that_do_not_read_do_not_delay_other_downloads() {
    let (world, _, whole) = stored().await;
    let data = world.data_with(&DataConfig { download_memory: 8 << 20, ..DataConfig::default() });
    let located = || world.located(0..whole.len() as u64, 10);
    let mut stopped = Vec::new();
    for _ in 0..60 {
        let mut body = world.while_time_passes(data.read(located())).await.unwrap();
        // The client's connection holds one piece.
        stopped.push((body.next().await.unwrap().unwrap(), body));
    }
    let began = world.env.monotonic();
    let read = world.while_time_passes(world.get(&data, 0..whole.len() as u64)).await.unwrap();
    assert!(read == whole && world.env.monotonic() - began < Duration::from_secs(1));
    // Each of them holds its piece only.
    world.while_time_passes(world.env.sleep(Duration::from_secs(3))).await;
    assert_eq!(data.budget().download_bytes(), 60 * CHUNK_SIZE as u64);
    assert!(data.budget().download_peak() <= 8 << 20);
    drop(stopped);
    assert_eq!(data.budget().download_bytes(), 0);
}

/// Every chunk was copied, also if it kept no other bytes in memory.
#[tokio::test]
async fn chunks_that_have_memory_of_their_own_are_passed_on_without_a_copy_and_counted() {
    let (world, data, whole) = stored().await;
    world.sends_chunks.store(true, Ordering::Relaxed);
    assert!(world.get(&data, 0..whole.len() as u64).await.unwrap() == whole);
    let stored: Vec<_> = {
        let blocks = world.nodes[0].blocks.lock().unwrap();
        blocks.values().map(|block| block.as_ptr() as usize..block.as_ptr() as usize + block.len()).collect()
    };
    let is_copied = |piece: &Bytes| !stored.iter().any(|block| block.contains(&(piece.as_ptr() as usize)));
    let mut body = data.read(world.located(10..BLOCK, 10)).await.unwrap();
    let piece = body.next().await.unwrap().unwrap();
    assert!(!is_copied(&piece) && piece == whole.slice(10..CHUNK_SIZE));
    drop(body);
    assert_eq!(data.budget().download_bytes(), CHUNK_SIZE as u64);
    drop(piece);
    assert_eq!(data.budget().download_bytes(), 0);
    // A small part does not keep its chunk in memory.
    let mut body = data.read(world.located(10..100, 10)).await.unwrap();
    let piece = body.next().await.unwrap().unwrap();
    assert!(is_copied(&piece) && piece == whole.slice(10..100));
}

#[tokio::test]
async fn a_slow_reader_gets_every_byte_in_small_pieces_and_a_quick_one_in_large_ones() {
    let (world, data, whole) = stored().await;
    let mut body = data.read(world.located(5..whole.len() as u64 - 7, 10)).await.unwrap();
    let (mut received, mut lengths) = (Vec::new(), Vec::new());
    for pause in [0, 0, 3_000, 3_000, 500, 3_000, 0, 0, 0, 1_500].into_iter().chain(std::iter::repeat(0)) {
        world.while_time_passes(world.env.sleep(Duration::from_millis(pause))).await;
        let Some(piece) = world.while_time_passes(body.next()).await else { break };
        let piece = piece.unwrap();
        lengths.push(piece.len());
        received.extend_from_slice(&piece);
        drop(piece);
        // A slow client's download holds no memory between two pieces.
        if pause == 3_000 {
            assert_eq!(data.budget().download_bytes(), 0);
        }
    }
    assert!(received == whole.slice(5..whole.len() - 7));
    const PAGE: usize = crate::data::budget::PAGE;
    assert_eq!(lengths[..2], [CHUNK_SIZE - 5, CHUNK_SIZE]);
    assert!(lengths[2..6].iter().all(|length| *length <= PAGE), "{lengths:?}");
    assert!(lengths[7..9].iter().any(|length| *length > PAGE), "{lengths:?}");
    assert!(world.meta().reports.is_empty());
}

#[tokio::test]
async fn a_download_that_gets_no_memory_is_refused_after_a_limited_time() {
    let (world, _, whole) = stored().await;
    // No node answers, so the first download waits and holds all memory.
    (0..3).for_each(|node| world.fault(node, Fault::Stopped));
    let data = world.data_with(&DataConfig { download_memory: 2 * BLOCK, ..DataConfig::default() });
    let located = || world.located(0..BLOCK, 10);
    let mut first = std::pin::pin!(data.read(located()));
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    let refused = world.while_time_passes(data.read(located())).await;
    assert_eq!(refused.unwrap_err(), DataError::Overloaded);
    (0..3).for_each(|node| world.fault(node, Fault::None));
    assert!(world.while_time_passes(first).await.is_ok());
    assert!(world.while_time_passes(world.get(&data, 0..whole.len() as u64)).await.unwrap() == whole);
}

/// Checks that no node was reported, and that all nodes still get new blocks.
async fn blames_nobody(world: &Arc<World>, data: &DataPath) {
    world.while_time_passes(world.env.sleep(Duration::from_secs(10))).await;
    assert!(world.meta().reports.is_empty(), "{:?}", world.meta().reports);
    world.while_time_passes(world.put(data, vec![bytes(1000)])).await;
    assert_eq!(world.meta().allocations.last().unwrap().exclude, []);
}

/// While a client did not read, the gateway did not read from the datanode, until the datanode closed the connection. The
/// gateway took this for a failure of the node: it reported the node to the metanode, and stored no blocks there for 15 s.
#[tokio::test]
async fn a_client_that_pauses_makes_no_node_a_suspect() {
    for pause in [600, 1_000, 10_000, 100_000] {
        let (world, data, whole) = stored().await;
        world.fault(0, Fault::BreaksOff(70_000));
        let mut body = data.read(world.located(0..BLOCK, 10)).await.unwrap();
        let first = body.next().await.unwrap().unwrap();
        world.while_time_passes(world.env.sleep(Duration::from_millis(pause))).await;
        // From now on only the old connection is broken; the node works.
        world.fault(0, Fault::None);
        let rest: Vec<_> = world.while_time_passes(body.map(Result::unwrap).collect()).await;
        assert!([&first[..], &rest.concat()].concat() == whole[..BLOCK as usize], "{pause}");
        blames_nobody(&world, &data).await;
    }
}

/// The time-out of a chunk also ran while the gateway did not poll for the chunk because its client did not read. When the
/// client read again, the time-out was over, and the datanode was blamed unless the chunk had already arrived.
#[tokio::test]
async fn the_time_out_of_a_chunk_does_not_run_while_the_client_does_not_read() {
    let (world, data, whole) = stored().await;
    (0..3).for_each(|node| world.fault(node, Fault::Dribbles(Duration::from_millis(200))));
    let mut body = world.while_time_passes(data.read(world.located(0..BLOCK, 10))).await.unwrap();
    let mut received = world.while_time_passes(body.next()).await.unwrap().unwrap().to_vec();
    assert!(futures_util::poll!(body.next()).is_pending());
    world.clock.advance(Duration::from_secs(10));
    let rest: Vec<_> = world.while_time_passes(body.map(Result::unwrap).collect()).await;
    received.extend_from_slice(&rest.concat());
    assert!(received == whole[..BLOCK as usize]);
    blames_nobody(&world, &data).await;
}

#[tokio::test]
async fn a_node_that_falls_silent_in_mid_block_costs_a_second_and_is_still_given_blocks() {
    let (world, data, whole) = stored().await;
    world.fault(0, Fault::GoesSilent(70_000));
    let read = world.while_time_passes(world.get(&data, 0..whole.len() as u64)).await.unwrap();
    assert!(read == whole);
    assert!(world.env.monotonic() < Duration::from_secs(2), "{:?}", world.env.monotonic());
    world.fault(0, Fault::None);
    world.while_time_passes(world.put(&data, vec![bytes(1000)])).await;
    assert_eq!(world.meta().allocations.last().unwrap().exclude, []);
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_given_no_blocks_either() {
    let (world, data, whole) = stored().await;
    world.fault(0, Fault::Down);
    world.while_time_passes(world.get(&data, 0..whole.len() as u64)).await.unwrap();
    world.while_time_passes(world.put(&data, vec![bytes(1000)])).await;
    assert_eq!(world.meta().allocations.last().unwrap().exclude, [world.nodes[0].id]);
}

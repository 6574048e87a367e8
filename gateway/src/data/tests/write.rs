//! Promises about writes: an acknowledged body is stored on enough nodes, and the grants of a dropped one are given back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::block::BLOCK_SIZE_MIN;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::metadata::{MetadataError, WriteCondition};
use futures_util::{Stream, StreamExt};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::world::{Fault, World, body, bytes, placement};
use crate::data::budget::BLOCK_FLOOR;
use crate::data::{DataError, WriteError};

/// A body whose pieces the test sends one by one.
fn by_hand()
-> (mpsc::Sender<Result<Bytes, &'static str>>, impl Stream<Item = Result<Bytes, &'static str>> + Unpin + Send)
{
    let (sender, receiver) = mpsc::channel(1);
    let body = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    });
    (sender, Box::pin(body))
}

const BLOCK: u64 = 256 * 1024;

#[tokio::test]
async fn each_byte_is_sent_once_however_many_copies_there_are() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let length = 3 * BLOCK as usize + 1000;
    world.put(&data, vec![bytes(length)]).await;
    let sent: usize = world.nodes.iter().map(|node| *node.sent.lock().unwrap()).sum();
    assert_eq!(sent, length);
    let kept = |node: &Arc<super::world::Node>| node.blocks.lock().unwrap().values().map(Bytes::len).sum();
    assert_eq!(world.nodes.iter().map(kept).collect::<Vec<usize>>(), [length; 3]);
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_split_of_a_body_and_any_range_of_the_object_give_the_same_bytes_back(
        length in 0usize..900_000,
        cuts in proptest::collection::vec(1usize..200_000, 1..20),
        block_size in prop_oneof![Just(BLOCK_SIZE_MIN), Just(100_000), Just(BLOCK)],
        range in (0.0..1.0, 0.0..1.0),
    ) {
        run(async {
            let world = World::new(3, block_size);
            let data = world.data();
            let whole = bytes(length);
            let (mut rest, mut pieces) = (whole.clone(), Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                pieces.push(rest.split_to((*cut).min(rest.len())));
            }
            world.put(&data, pieces).await;
            let commit = world.meta().commits[0].clone();
            prop_assert_eq!(commit.length, length as u64);
            let at = |share: f64| (share * length as f64) as u64;
            let (start, end) = (at(range.0).min(at(range.1)), at(range.0).max(at(range.1)));
            let read = world.get(&data, 0..length as u64).await.unwrap();
            prop_assert_eq!(&read, &whole);
            let read = world.get(&data, start..end).await.unwrap();
            prop_assert_eq!(&read, &whole.slice(start as usize..end as usize));
            prop_assert_eq!(world.grants_open(), 0);
            Ok(())
        })?;
    }
}

fn counts(world: &World) -> Vec<u32> {
    world.meta().allocations.iter().map(|request| request.count).collect()
}

#[tokio::test]
async fn a_quick_body_takes_more_grants_each_time_and_no_more_than_it_needs() {
    let world = World::new(3, BLOCK);
    let whole = bytes(2 * BLOCK as usize + 1);
    world.put(&world.data(), vec![whole.clone()]).await;
    // The first grant tells the block size. Then the rest is requested at once.
    assert_eq!(counts(&world), [1, 2]);
    {
        let meta = world.meta();
        assert_eq!(meta.granted.len(), 3);
        assert_eq!(meta.commits[0].extents.len(), 3);
        assert_eq!(meta.allocations[0].object_length, Some(whole.len() as u64));
        assert!(meta.allocations.iter().all(|request| request.expected_length.is_none()));
    }

    let world = World::new(3, BLOCK);
    let pieces = (0..20).map(|_| bytes(BLOCK as usize)).collect();
    world.put(&world.data(), pieces).await;
    assert_eq!(counts(&world), [1, 2, 4, 8, 5]);
}

#[tokio::test]
async fn a_body_takes_no_more_grants_ahead_than_its_pace_needs() {
    let world = World::new(3, BLOCK);
    let (data, env) = (world.data(), world.env.clone());
    let mut body = Box::pin(futures_util::stream::unfold(0, move |sent| {
        let sleep = env.sleep(Duration::from_secs(1));
        async move {
            sleep.await;
            (sent < 20).then_some((Ok::<_, &str>(bytes(BLOCK as usize)), sent + 1))
        }
    }));
    let written = data.write(placement(Some(20 * BLOCK)), &mut body);
    let stored = world.while_time_passes(written).await.unwrap();
    assert_eq!(stored.block_count(), 20);
    // The client sends a block a second, and grants are requested ahead for two seconds.
    let counts = counts(&world);
    assert!(counts.iter().all(|count| *count <= 2), "{counts:?}");
    assert_eq!(counts.iter().sum::<u32>(), 20);
}

/// An upload took grants for eight blocks before its first byte. Three thousand slow uploads reserved 120 GB, and others
/// failed because no datanode had space left.
#[tokio::test]
async fn an_upload_takes_no_grant_before_its_first_block_needs_one() {
    let world = World::new(3, 8 << 20);
    let data = world.data();
    let (sender, mut stream) = by_hand();
    let write = data.write(placement(Some(40 << 20)), &mut stream);
    let mut write = std::pin::pin!(write);
    let mut sent = 0;
    while sent < BLOCK_SIZE_MIN + 8_000 {
        // Up to `BLOCK_SIZE_MIN` a block needs no grant. Beyond that it takes exactly one.
        assert_eq!(counts(&world), if sent <= BLOCK_SIZE_MIN { vec![] } else { vec![1] });
        sender.send(Ok(bytes(4_000))).await.unwrap();
        sent += 4_000;
        let second = world.env.sleep(Duration::from_secs(1));
        world
            .while_time_passes(async {
                tokio::select! {
                    _ = write.as_mut() => panic!("the body has not ended"),
                    () = second => {}
                }
            })
            .await;
    }
    assert_eq!(counts(&world), [1]);
    assert_eq!(world.meta().allocations[0].expected_length, Some(BLOCK_FLOOR));
    drop(sender);
    let stored = world.while_time_passes(write).await.unwrap();
    assert_eq!((stored.length(), stored.block_count()), (sent, 1));
}

#[tokio::test]
async fn the_grant_for_a_body_that_has_ended_reserves_its_length_only() {
    let world = World::new(3, 8 << 20);
    world.put(&world.data(), vec![bytes(5_000)]).await;
    let stored = world.data().write(placement(None), &mut body(vec![bytes(6_000)])).await.unwrap();
    drop(stored);
    let meta = world.meta();
    let expected: Vec<_> = meta.allocations.iter().map(|request| request.expected_length).collect();
    assert_eq!(expected, [Some(5_000), Some(6_000)]);
}

#[tokio::test]
async fn an_empty_body_takes_no_grant() {
    let world = World::new(3, BLOCK);
    world.put(&world.data(), Vec::new()).await;
    assert!(world.meta().allocations.is_empty());
}

#[tokio::test]
async fn the_crc_of_the_whole_is_combined_from_the_blocks() {
    let world = World::new(3, BLOCK);
    let whole = bytes(3 * BLOCK as usize + 77);
    let stored = world.data().write(placement(None), &mut body(vec![whole.clone()])).await.unwrap();
    assert_eq!(stored.crc32c(), crc32c(&whole));
}

async fn survives(faults: &[(usize, Fault)], nodes: usize) -> Arc<World> {
    let world = World::new(nodes, BLOCK);
    for (node, fault) in faults {
        world.fault(*node, fault.clone());
    }
    let data = world.data();
    let whole = bytes(4 * BLOCK as usize + 5);
    world.while_time_passes(world.put(&data, vec![whole.clone()])).await;
    for (node, _) in faults.iter().filter(|_| nodes > 1) {
        world.fault(*node, Fault::Down);
    }
    assert_eq!(world.while_time_passes(world.get(&data, 0..whole.len() as u64)).await.unwrap(), whole);
    world.while_time_passes(world.until(|world| world.grants_open() == 0)).await;
    world
}

#[tokio::test]
async fn a_dead_node_anywhere_in_the_pipeline_is_left_out() {
    for node in 0..3 {
        survives(&[(node, Fault::Down)], 3).await;
    }
}

#[tokio::test]
async fn a_node_that_stands_still_anywhere_in_the_pipeline_is_found_and_left_out() {
    for node in 0..3 {
        let world = survives(&[(node, Fault::Stopped)], 3).await;
        // The node is found out once, and not again for each block.
        assert!(*world.nodes[node].puts.lock().unwrap() <= 4, "asked again and again");
    }
}

#[tokio::test]
async fn an_upload_survives_a_node_that_stores_a_block_and_never_replies() {
    survives(&[(1, Fault::Mute)], 3).await;
}

#[tokio::test]
async fn a_full_node_is_replaced() {
    survives(&[(0, Fault::Full), (1, Fault::Full)], 5).await;
}

#[tokio::test]
async fn a_node_that_has_no_space_is_read_from_as_before() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let whole = bytes(1000);
    world.put(&data, vec![whole.clone()]).await;
    world.fault(0, Fault::Full);
    world.put(&data, vec![whole.clone()]).await;
    let before = *world.nodes[0].gets.lock().unwrap();
    assert_eq!(world.get(&data, 0..1000).await.unwrap(), whole);
    assert_eq!(*world.nodes[0].gets.lock().unwrap(), before + 1);
}

#[tokio::test]
async fn a_busy_node_is_waited_for_and_not_avoided() {
    let world = survives(&[(0, Fault::Busy(10))], 1).await;
    assert!(world.meta().released.is_empty());
    assert!(world.meta().allocations.iter().all(|request| request.exclude.is_empty()));
}

#[tokio::test]
async fn slow_nodes_that_are_alive_are_waited_for() {
    let slow = Fault::Slow(Duration::from_secs(20));
    let world = survives(&[(0, slow)], 1).await;
    assert!(world.meta().released.is_empty());
}

#[tokio::test]
async fn with_fewer_than_min_replicas_the_same_bytes_go_to_other_nodes() {
    let world = survives(&[(0, Fault::Down), (1, Fault::Down), (2, Fault::Stopped)], 6).await;
    let meta = world.meta();
    assert!(!meta.released.is_empty(), "a failed grant is given back");
    assert!(meta.allocations.iter().any(|request| !request.exclude.is_empty()));
}

#[tokio::test]
async fn when_no_nodes_are_left_the_upload_fails_after_a_bounded_time_and_leaves_nothing() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    for node in 1..3 {
        world.fault(node, Fault::Down);
    }
    let mut pieces = body(vec![bytes(1000)]);
    let written = data.write(placement(Some(1000)), &mut pieces);
    let error = world.while_time_passes(written).await.unwrap_err();
    assert!(matches!(error, WriteError::Data(DataError::NotStored { .. })), "{error:?}");
    assert!(world.env.monotonic() < Duration::from_secs(5), "{:?}", world.env.monotonic());
    world.until(|world| world.grants_open() == 0).await;
}

/// The outcome and the duration of an upload while requests for grants fail for this many seconds.
async fn refused(error: MetadataError, seconds: u64) -> (Result<(), MetadataError>, Duration) {
    let world = World::new(3, BLOCK);
    world.meta().grants_refused = Some((error, Duration::from_secs(seconds)));
    let data = world.data();
    let mut pieces = body(vec![bytes(1000)]);
    let written = world.while_time_passes(data.write(placement(Some(1000)), &mut pieces)).await;
    let outcome = match written {
        Ok(_) => Ok(()),
        Err(WriteError::Data(DataError::Metadata(error))) => Err(error),
        Err(error) => panic!("{error:?}"),
    };
    (outcome, world.env.monotonic())
}

#[tokio::test]
async fn an_upload_fails_within_seconds_if_there_are_too_few_datanodes() {
    let error = MetadataError::NotEnoughNodes { reason: "1 of 3".to_owned() };
    let (outcome, took) = refused(error.clone(), 1_000).await;
    assert_eq!(outcome, Err(error.clone()));
    assert!(took < Duration::from_secs(5), "{took:?}");
    // A node that returns soon is waited for.
    assert_eq!(refused(error, 2).await.0, Ok(()));
}

#[tokio::test]
async fn an_upload_waits_for_a_restart_of_the_metanode_and_fails_after_a_limited_time() {
    let error = MetadataError::Unavailable { reason: "no connection".to_owned() };
    assert_eq!(refused(error.clone(), 5).await.0, Ok(()));
    let (outcome, took) = refused(error.clone(), 1_000).await;
    assert_eq!(outcome, Err(error));
    assert!(took < Duration::from_secs(22), "{took:?}");
}

#[tokio::test]
async fn a_body_that_fails_gives_back_all_its_grants() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let pieces = vec![Ok(bytes(3 * BLOCK as usize)), Err("a wrong digest")];
    let mut body = futures_util::stream::iter(pieces);
    let error = data.write(placement(Some(4 * BLOCK)), &mut body).await.unwrap_err();
    assert!(matches!(error, WriteError::Body("a wrong digest")));
    assert!(!world.meta().granted.is_empty());
    world.until(|world| world.grants_open() == 0).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_gives_back_all_its_grants_and_memory() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let (sender, mut stream) = by_hand();
    let upload = tokio::spawn({
        let data = data.clone();
        async move { data.write(placement(Some(10 * BLOCK)), &mut stream).await }
    });
    sender.send(Ok(bytes(5 * BLOCK as usize / 2))).await.unwrap();
    while world.nodes[0].blocks.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(data.budget().upload_bytes() > 0);
    upload.abort();
    world.until(|world| world.grants_open() == 0).await;
    assert!(upload.await.unwrap_err().is_cancelled());
    assert_eq!(data.budget().upload_bytes(), 0);
}

#[tokio::test]
async fn grants_of_a_stored_body_that_is_never_committed_are_given_back() {
    let world = World::new(3, BLOCK);
    let stored = world.data().write(placement(Some(5)), &mut body(vec![bytes(5)])).await.unwrap();
    drop(stored);
    world.until(|world| world.grants_open() == 0).await;
}

#[tokio::test]
async fn leases_outlive_a_slow_client() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let (sender, mut stream) = by_hand();
    let upload = tokio::spawn({
        let data = data.clone();
        async move { data.write(placement(Some(2 * BLOCK)), &mut stream).await }
    });
    sender.send(Ok(bytes(BLOCK as usize))).await.unwrap();
    // The client pauses for five lifetimes of a grant.
    let later = world.env.sleep(Duration::from_secs(300));
    world.while_time_passes(later).await;
    sender.send(Ok(bytes(BLOCK as usize))).await.unwrap();
    drop(sender);
    let stored = upload.await.unwrap().unwrap();
    stored.commit_object(world.commit()).await.unwrap();
    let renewals = world.meta().renewals;
    // A grant is renewed after half of its lifetime, so that the network may fail for the other half.
    assert!((8..=12).contains(&renewals), "{renewals}");
}

#[tokio::test]
async fn a_commit_without_an_answer_is_repeated_under_the_same_version_and_nothing_is_given_back() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    world.meta().commits_unanswered = 3;
    let stored = data.write(placement(Some(9)), &mut body(vec![bytes(9)])).await.unwrap();
    let committed = world.while_time_passes(stored.commit_object(world.commit())).await.unwrap();
    let meta = world.meta();
    assert_eq!(meta.commits.len(), 1);
    assert_eq!(meta.commits[0].version, committed.version);
    assert!(meta.released.is_empty());
}

#[tokio::test]
async fn a_commit_whose_outcome_stays_unknown_gives_nothing_back() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    world.meta().commits_unanswered = usize::MAX;
    let stored = data.write(placement(Some(9)), &mut body(vec![bytes(9)])).await.unwrap();
    let error = world.while_time_passes(stored.commit_object(world.commit())).await.unwrap_err();
    assert!(matches!(error, MetadataError::Unavailable { .. }));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(world.meta().released.is_empty());
}

#[tokio::test]
async fn a_commit_that_is_refused_gives_its_blocks_back() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    world.meta().commit_refused = Some(MetadataError::PreconditionFailed);
    let mut commit = world.commit();
    commit.condition = WriteCondition::Absent;
    let stored = data.write(placement(Some(9)), &mut body(vec![bytes(9)])).await.unwrap();
    let refused = stored.commit_object(commit).await.unwrap_err();
    assert_eq!(refused, MetadataError::PreconditionFailed);
    world.until(|world| world.grants_open() == 0).await;
}

/// A commit was refused because too few of the nodes that had stored a block were left. The client had sent the whole body,
/// and got an error that made it send the body again.
#[tokio::test]
async fn a_block_that_did_not_stay_is_written_again_from_a_node_that_has_it() {
    let world = World::new(4, BLOCK);
    let data = world.data();
    let whole = bytes(2 * BLOCK as usize + 7);
    let stored =
        data.write(placement(Some(whole.len() as u64)), &mut body(vec![whole.clone()])).await.unwrap();
    let before: Vec<_> = world.meta().granted.keys().copied().collect();
    // Two blocks are lost one after the other, and the node that is tried first is down.
    world.meta().blocks_lost = 2;
    world.fault(0, Fault::Down);
    world.while_time_passes(stored.commit_object(world.commit())).await.unwrap();
    let blocks: Vec<_> = world.meta().commits[0].extents.iter().map(|extent| extent.grant.block).collect();
    assert_eq!(blocks.iter().filter(|block| !before.contains(block)).count(), 2);
    let read = world.get(&data, 0..whole.len() as u64);
    assert_eq!(world.while_time_passes(read).await.unwrap(), whole);
    world.while_time_passes(world.until(|world| world.grants_open() == 0)).await;
    assert_eq!(data.budget().upload_bytes(), 0);
}

#[tokio::test]
async fn a_block_that_no_node_has_any_more_fails_the_upload_and_leaves_nothing() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let stored = data.write(placement(Some(9)), &mut body(vec![bytes(9)])).await.unwrap();
    for node in &world.nodes {
        node.blocks.lock().unwrap().clear();
    }
    world.meta().blocks_lost = usize::MAX;
    let error = world.while_time_passes(stored.commit_object(world.commit())).await.unwrap_err();
    assert!(matches!(error, MetadataError::BlockLost { .. }), "{error:?}");
    assert!(world.meta().commits.is_empty());
    world.until(|world| world.grants_open() == 0).await;
}

#[tokio::test]
async fn blocks_that_never_stay_fail_the_upload_after_a_bounded_number_of_attempts() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let stored = data.write(placement(Some(9)), &mut body(vec![bytes(9)])).await.unwrap();
    world.meta().blocks_lost = usize::MAX;
    let error = world.while_time_passes(stored.commit_object(world.commit())).await.unwrap_err();
    assert!(matches!(error, MetadataError::BlockLost { .. }), "{error:?}");
    assert!(world.meta().granted.len() < 40);
    world.until(|world| world.grants_open() == 0).await;
}

/// An earlier attempt may have been committed, and its object may have been overwritten since. A commit with a rewritten
/// block would make the old object current again.
#[tokio::test]
async fn a_block_is_not_written_again_while_the_outcome_of_the_commit_is_unknown() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let stored = data.write(placement(Some(9)), &mut body(vec![bytes(9)])).await.unwrap();
    world.meta().commits_unanswered = 1;
    world.meta().lost_after_unanswered = true;
    let error = world.while_time_passes(stored.commit_object(world.commit())).await.unwrap_err();
    assert!(matches!(error, MetadataError::BlockLost { .. }), "{error:?}");
    assert_eq!(world.meta().granted.len(), 1);
}

/// A gateway whose wall clock was ahead of the metanode's took every grant for expired, and requested renewals without a
/// pause.
#[tokio::test]
async fn leases_are_renewed_on_time_for_any_difference_of_the_clocks() {
    for ahead in [3_600_000, -900_000] {
        let world = World::new(3, BLOCK);
        let data = world.data();
        world.meta().ahead_ms = ahead;
        let stored = data.write(placement(Some(9)), &mut body(vec![bytes(9)])).await.unwrap();
        let later = world.env.sleep(Duration::from_secs(300));
        world.while_time_passes(later).await;
        let renewals = world.meta().renewals;
        assert!((8..=12).contains(&renewals), "{renewals}");
        drop(stored);
    }
}

#[tokio::test]
async fn blocks_are_sent_while_later_ones_are_still_received() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let (sender, mut stream) = by_hand();
    let upload = tokio::spawn({
        let data = data.clone();
        async move { data.write(placement(Some(3 * BLOCK)), &mut stream).await }
    });
    for block in 1..=2 {
        sender.send(Ok(bytes(BLOCK as usize))).await.unwrap();
        while world.nodes[0].blocks.lock().unwrap().len() < block {
            tokio::task::yield_now().await;
        }
    }
    drop((sender, upload));
    let _ = body(Vec::new()).next().await;
}

#[tokio::test]
async fn nodes_that_all_stand_still_fail_the_upload_before_clients_give_up() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    for node in 0..3 {
        world.fault(node, Fault::Stopped);
    }
    let mut pieces = body(vec![bytes(1000)]);
    let written = data.write(placement(Some(1000)), &mut pieces);
    let error = world.while_time_passes(written).await.unwrap_err();
    assert!(matches!(error, WriteError::Data(DataError::NotStored { .. })), "{error:?}");
    assert!(world.env.monotonic() < Duration::from_secs(25), "{:?}", world.env.monotonic());
}

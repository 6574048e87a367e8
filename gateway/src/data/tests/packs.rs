//! Small bodies that share blocks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::block::BYTES_MAX;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::metadata::{MetadataError, NewExtent, ReplicaProblem};
use futures_util::future::{join, join_all};
use proptest::prelude::*;

use super::world::{Fault, World, body, bytes, placement};
use crate::data::{DataConfig, DataPath, StoredBlocks};

const BLOCK: u64 = 1 << 20;

/// How long the nodes of these tests take to store a block.
const SYNC: Duration = Duration::from_millis(10);

/// Three nodes that take their time, so that bodies wait.
fn slow_world() -> Arc<World> {
    let world = World::new(3, BLOCK);
    (0..3).for_each(|node| world.fault(node, Fault::Slow(SYNC)));
    world
}

/// Different bodies of these lengths.
fn bodies(lengths: &[usize]) -> Vec<Bytes> {
    lengths.iter().enumerate().map(|(index, length)| bytes(length + index).slice(index..)).collect()
}

async fn write(data: &DataPath, bytes: Bytes) -> StoredBlocks {
    let length = bytes.len() as u64;
    data.write(placement(Some(length)), &mut body(vec![bytes])).await.unwrap()
}

/// Writes and commits all of these bodies at once, in their order.
async fn put_all(world: &Arc<World>, data: &DataPath, bodies: &[Bytes]) {
    let stored =
        world.while_time_passes(join_all(bodies.iter().map(|bytes| write(data, bytes.clone())))).await;
    for stored in stored {
        stored.commit_object(world.commit()).await.unwrap();
    }
}

fn puts(world: &World) -> usize {
    world.nodes.iter().map(|node| *node.puts.lock().unwrap()).max().unwrap()
}

fn extents(world: &World) -> Vec<NewExtent> {
    world.meta().commits.iter().flat_map(|commit| commit.extents.clone()).collect()
}

#[tokio::test]
async fn bodies_that_wait_at_the_same_time_become_one_block() {
    let world = slow_world();
    let data = world.data();
    let bodies = bodies(&[4096, 1, 100, 65_536, 3000]);
    put_all(&world, &data, &bodies).await;
    assert_eq!(puts(&world), 1);
    let extents = extents(&world);
    assert_eq!(extents[0].length, 4096 + 1 + 100 + 65_536 + 3000);
    for (number, bytes) in bodies.iter().enumerate() {
        let length = bytes.len() as u64;
        let slice = extents[number].slice.unwrap();
        assert_eq!(extents[number].grant.block, extents[0].grant.block);
        assert_eq!((slice.length, slice.crc32c), (length, crc32c(bytes)));
        assert_eq!(world.get_at(number, &data, 0..length).await.unwrap(), bytes);
        assert_eq!(
            world.get_at(number, &data, length / 2..length).await.unwrap(),
            bytes.slice(bytes.len() / 2..)
        );
    }
    assert_eq!(world.grants_open(), 0);
}

#[tokio::test]
async fn a_body_that_comes_alone_is_sent_alone_and_those_that_come_meanwhile_are_sent_together() {
    let world = slow_world();
    let data = world.data();
    let mut first = Box::pin(write(&data, bytes(10)));
    while puts(&world) == 0 {
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    let others = join_all([20, 30, 40].map(|length| write(&data, bytes(length))));
    let (first, others) = world.while_time_passes(join(first, others)).await;
    for stored in [first].into_iter().chain(others) {
        stored.commit_object(world.commit()).await.unwrap();
    }
    let lengths: Vec<_> = extents(&world).iter().map(|extent| extent.length).collect();
    assert_eq!(lengths, [10, 90, 90, 90]);
    assert_eq!(extents(&world)[0].slice, None);
}

#[tokio::test]
async fn a_longer_body_and_one_of_unknown_length_have_blocks_of_their_own() {
    let world = slow_world();
    let data = world.data();
    let long = bytes(BYTES_MAX as usize + 1);
    let mut unknown = body(vec![bytes(10)]);
    let all = join(
        join_all([bytes(5), long].map(|bytes| write(&data, bytes))),
        data.write(placement(None), &mut unknown),
    );
    let (stored, unknown) = world.while_time_passes(all).await;
    for stored in stored.into_iter().chain([unknown.unwrap()]) {
        stored.commit_object(world.commit()).await.unwrap();
    }
    assert!(extents(&world).iter().all(|extent| extent.slice.is_none()));
    assert_eq!(puts(&world), 3);
}

#[tokio::test]
async fn a_body_that_fails_at_its_end_is_in_no_block() {
    let world = World::new(3, BLOCK);
    let pieces = [Ok(bytes(10)), Err("the digest is wrong")];
    let mut failing = futures_util::stream::iter(pieces);
    assert!(world.data().write(placement(Some(10)), &mut failing).await.is_err());
    assert_eq!((puts(&world), world.meta().allocations.len()), (0, 0));
}

#[tokio::test]
async fn a_commit_that_is_refused_takes_no_other_with_it() {
    let world = slow_world();
    let data = world.data();
    let bodies = bodies(&[10, 20, 30, 40]);
    let stored =
        world.while_time_passes(join_all(bodies.iter().map(|bytes| write(&data, bytes.clone())))).await;
    let [first, refused, gone, last] = <[StoredBlocks; 4]>::try_from(stored).unwrap();
    first.commit_object(world.commit()).await.unwrap();
    world.meta().commit_refused = Some(MetadataError::PreconditionFailed);
    assert_eq!(refused.commit_object(world.commit()).await, Err(MetadataError::PreconditionFailed));
    world.meta().commit_refused = None;
    // The client has gone away.
    drop(gone);
    last.commit_object(world.commit()).await.unwrap();
    world.until(|world| world.grants_open() == 0).await;
    assert_eq!(world.get_at(1, &data, 0..40).await.unwrap(), bodies[3]);
}

#[tokio::test]
async fn a_block_of_which_nothing_is_committed_is_given_back() {
    let world = slow_world();
    let data = world.data();
    let stored =
        world.while_time_passes(join_all([10, 20, 30].map(|length| write(&data, bytes(length))))).await;
    world.meta().commit_refused = Some(MetadataError::PreconditionFailed);
    for stored in stored {
        assert!(stored.commit_object(world.commit()).await.is_err());
    }
    world.until(|world| world.grants_open() == 0).await;
    let meta = world.meta();
    assert_eq!((meta.released.len(), meta.unused.len()), (1, 0));
}

#[tokio::test]
async fn a_body_whose_block_is_lost_is_written_again_by_itself() {
    let world = slow_world();
    let data = world.data();
    let bodies = bodies(&[10, 20, 30]);
    let stored =
        world.while_time_passes(join_all(bodies.iter().map(|bytes| write(&data, bytes.clone())))).await;
    for (number, stored) in stored.into_iter().enumerate() {
        world.meta().blocks_lost = usize::from(number == 1);
        world.while_time_passes(stored.commit_object(world.commit())).await.unwrap();
    }
    let extents = extents(&world);
    assert!(extents[1].slice.is_none() && extents[2].slice.is_some());
    assert_ne!(extents[1].grant.block, extents[2].grant.block);
    for (number, bytes) in bodies.iter().enumerate() {
        assert_eq!(world.get_at(number, &data, 0..bytes.len() as u64).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_pipeline_that_hangs_holds_up_no_later_body() {
    let world = slow_world();
    let data = world.data();
    (0..3).for_each(|node| world.fault(node, Fault::Stopped));
    let mut hanging = Box::pin(write(&data, bytes(10)));
    assert!(futures_util::poll!(hanging.as_mut()).is_pending());
    while puts(&world) == 0 && world.meta().granted.is_empty() {
        tokio::task::yield_now().await;
    }
    (0..3).for_each(|node| world.fault(node, Fault::None));
    let began = world.env.monotonic();
    world.while_time_passes(write(&data, bytes(20))).await.commit_object(world.commit()).await.unwrap();
    assert!(world.env.monotonic() - began <= Duration::from_millis(200));
}

#[tokio::test]
async fn a_body_that_follows_others_waits_for_no_grant() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    for length in [10, 20] {
        write(&data, bytes(length)).await.commit_object(world.commit()).await.unwrap();
    }
    world
        .while_time_passes(async {
            while world.meta().allocations.len() < 3 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    let error = MetadataError::Unavailable { reason: "down".to_owned() };
    world.meta().grants_refused = Some((error, Duration::from_secs(3600)));
    write(&data, bytes(30)).await.commit_object(world.commit()).await.unwrap();
    let counts: Vec<_> = world.meta().allocations.iter().map(|request| request.count).collect();
    assert_eq!(counts, [1, 1, 4]);
}

#[tokio::test]
async fn grants_that_are_not_used_soon_are_given_back_as_unused() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    for length in [10, 20] {
        write(&data, bytes(length)).await.commit_object(world.commit()).await.unwrap();
    }
    world.while_time_passes(world.until(|world| world.meta().unused.len() == 4)).await;
    assert_eq!(world.grants_open(), 0);
}

#[tokio::test]
async fn a_wrong_byte_of_a_shared_block_reaches_no_client() {
    let world = slow_world();
    let data = world.data();
    let bodies = bodies(&[10, 20, 30]);
    put_all(&world, &data, &bodies).await;
    // Byte 25 of the shared block belongs to the last body.
    world.fault(0, Fault::Corrupt(25));
    assert_eq!(world.get_at(1, &data, 0..20).await.unwrap(), bodies[1]);
    assert!(world.meta().reports.is_empty(), "its bytes are right");
    assert_eq!(world.get_at(2, &data, 0..30).await.unwrap(), bodies[2]);
    world.until(|world| !world.meta().reports.is_empty()).await;
    assert_eq!(world.meta().reports, [(world.nodes[0].id, ReplicaProblem::Corrupt)]);
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_bodies_at_once_are_read_back_as_they_were_written(
        lengths in proptest::collection::vec(prop_oneof![1usize..200, 1usize..65_537], 1..40),
        range in (0.0..1.0, 0.0..1.0),
    ) {
        run(async {
            let world = slow_world();
            let data = world.data_with(&DataConfig::default());
            let bodies = bodies(&lengths);
            put_all(&world, &data, &bodies).await;
            for (number, bytes) in bodies.iter().enumerate() {
                let at = |share: f64| (share * bytes.len() as f64) as usize;
                let (start, end) = (at(range.0).min(at(range.1)), at(range.0).max(at(range.1)));
                let read = world.get_at(number, &data, start as u64..end as u64).await.unwrap();
                prop_assert_eq!(read, bytes.slice(start..end));
            }
            prop_assert!(puts(&world) <= bodies.len());
            prop_assert!(extents(&world).iter().all(|extent| extent.length <= 512 << 10));
            Ok(())
        })?;
    }
}

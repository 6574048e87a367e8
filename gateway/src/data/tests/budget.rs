//! Promises about memory: uploads and downloads stay within their budgets, and give all memory back.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;

use super::world::{Fault, World, body, bytes, placement};
use crate::data::budget::{BLOCK_FLOOR, TRICKLE_FLOOR};
use crate::data::{DataConfig, DataPath};

const MIB: usize = 1 << 20;

fn config(upload_memory: usize) -> DataConfig {
    DataConfig { upload_memory: upload_memory as u64, ..DataConfig::default() }
}

async fn write(data: &DataPath, whole: &Bytes) -> usize {
    let pieces = whole.chunks(100_000).map(|piece| whole.slice_ref(piece)).collect();
    let stored = data.write(placement(Some(whole.len() as u64)), &mut body(pieces)).await.unwrap();
    assert_eq!(stored.length(), whole.len() as u64);
    stored.block_count()
}

#[tokio::test]
async fn a_single_upload_gets_blocks_of_full_size() {
    let world = World::new(1, 8 * MIB as u64);
    let data = world.data_with(&config(24 * MIB));
    assert_eq!(write(&data, &bytes(40 * MIB)).await, 5);
    assert!(data.budget().upload_peak() <= 24 * MIB as u64);
    assert_eq!(data.budget().upload_bytes(), 0);
}

#[tokio::test]
async fn two_hundred_uploads_at_once_all_end_within_the_budget_and_with_blocks_above_the_floor() {
    let world = World::new(1, 8 * MIB as u64);
    let data = world.data_with(&config(16 * MIB));
    let whole = bytes(5 * MIB / 2);
    let blocks = join_all((0..200).map(|_| write(&data, &whole))).await;
    assert!(data.budget().upload_peak() <= 16 * MIB as u64, "{}", data.budget().upload_peak());
    assert_eq!(data.budget().upload_bytes(), 0);
    // Blocks have at least 1 MiB, so 2.5 MiB are at most three blocks.
    assert!(blocks.iter().all(|blocks| *blocks <= 3), "{blocks:?}");
}

/// A body whose client sends this many bytes and then pauses for ever.
fn paused(sent: usize) -> impl futures_util::Stream<Item = Result<Bytes, &'static str>> + Unpin + Send {
    body(vec![bytes(sent)]).chain(futures_util::stream::pending())
}

#[tokio::test]
async fn clients_that_pause_do_not_keep_others_from_ending() {
    for sent in [1, 100_000, TRICKLE_FLOOR as usize, 1_000_000, BLOCK_FLOOR as usize, 5 * MIB] {
        let world = World::new(1, 8 * MIB as u64);
        let data = world.data_with(&config(16 * MIB));
        let mut paused: Vec<_> = (0..40).map(|_| paused(sent)).collect();
        let uploads = paused.iter_mut().map(|body| data.write(placement(Some(8 * MIB as u64)), body));
        let mut uploads = std::pin::pin!(join_all(uploads));
        let whole = bytes(6 * MIB);
        let others = join_all((0..4).map(|_| write(&data, &whole)));
        world
            .while_time_passes(async {
                tokio::select! {
                    _ = uploads.as_mut() => panic!("a body without an end has ended"),
                    _ = others => {}
                }
            })
            .await;
        assert!(world.env.monotonic() < Duration::from_secs(60), "{sent}: {:?}", world.env.monotonic());
        assert!(data.budget().upload_peak() <= 16 * MIB as u64);
    }
}

/// Every upload held at least a chunk of 64 KiB. 256 uploads that had sent one byte each used up 16 MiB, and every other
/// upload waited for ever.
#[tokio::test]
async fn hundreds_of_uploads_of_one_byte_do_not_delay_others() {
    let world = World::new(1, 8 * MIB as u64);
    let data = world.data_with(&config(16 * MIB));
    let mut paused: Vec<_> = (0..900).map(|_| paused(1)).collect();
    let uploads = paused.iter_mut().map(|body| data.write(placement(Some(8 * MIB as u64)), body));
    let mut uploads = std::pin::pin!(join_all(uploads));
    assert!(futures_util::poll!(uploads.as_mut()).is_pending());
    let whole = bytes(6 * MIB);
    let others = join_all((0..4).map(|_| write(&data, &whole)));
    // The clock stands still, so no upload may depend on a time-out.
    let blocks = tokio::select! {
        _ = uploads.as_mut() => panic!("a body without an end has ended"),
        blocks = others => blocks,
    };
    assert!(blocks.iter().all(|blocks| *blocks <= 6), "{blocks:?}");
    assert!(data.budget().upload_peak() <= 16 * MIB as u64);
}

#[tokio::test]
async fn slow_uploads_share_half_of_the_memory() {
    let world = World::new(1, 8 * MIB as u64);
    let data = world.data_with(&config(16 * MIB));
    let trickle = |length: usize| {
        let env = world.env.clone();
        Box::pin(futures_util::stream::unfold(0, move |sent| {
            let sleep = env.sleep(Duration::from_secs(1));
            async move {
                if sent >= length {
                    return None;
                }
                sleep.await;
                Some((Ok::<_, &'static str>(bytes(5_000)), sent + 5_000))
            }
        }))
    };
    let uploads = join_all((0..200).map(|_| {
        let (data, mut body) = (data.clone(), trickle(300_000));
        async move { data.write(placement(Some(300_000)), &mut body).await.unwrap().block_count() }
    }));
    let blocks = world.while_time_passes(uploads).await;
    assert!(data.budget().upload_peak() <= 10 * MIB as u64, "{}", data.budget().upload_peak());
    // Each upload's share is 40 KiB.
    assert!(blocks.iter().all(|blocks| (2..=11).contains(blocks)), "{blocks:?}");
    // A slow upload that is alone gets whole blocks.
    let alone = world.while_time_passes(data.write(placement(Some(300_000)), &mut trickle(300_000))).await;
    assert_eq!(alone.unwrap().block_count(), 1);
}

#[tokio::test]
async fn a_cluster_that_stands_still_does_not_let_memory_grow() {
    let world = World::new(3, 8 * MIB as u64);
    (0..3).for_each(|node| world.fault(node, Fault::Stopped));
    let data = world.data_with(&config(16 * MIB));
    let whole = bytes(6 * MIB);
    let uploads =
        join_all(
            (0..20).map(|_| {
                let (data, whole) = (data.clone(), whole.clone());
                async move {
                    data.write(placement(Some(whole.len() as u64)), &mut body(vec![whole])).await.is_err()
                }
            }),
        );
    let failed = world.while_time_passes(uploads).await;
    assert!(failed.into_iter().all(|failed| failed));
    assert!(data.budget().upload_peak() <= 16 * MIB as u64);
    // Cancelled sends release their memory when their tasks run next.
    while data.budget().upload_bytes() > 0 {
        tokio::task::yield_now().await;
    }
}

//! Reads that last longer than the grace period.

use std::time::Duration;

use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::*;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, bytes};

contract! {
    a_version_that_is_current_or_gone_needs_no_renewal,
    a_renewal_names_so_many_versions_at_the_most,
}

const GRACE: Duration = Duration::from_secs(60);

async fn a_version_that_is_current_or_gone_needs_no_renewal(cluster: &Cluster) {
    cluster.bucket("b").await;
    let current = cluster.put("b", "k", "e", &[5]).await.version;
    let versions = vec![current, cluster.version()];
    cluster.renew_reads(RenewReads { versions }).await.unwrap();
    cluster.renew_reads(RenewReads { versions: Vec::new() }).await.unwrap();
    assert_eq!(cluster.get("b", "k", LookupRange::Whole).await.unwrap().readable_ms, 600_000);
}

async fn a_renewal_names_so_many_versions_at_the_most(cluster: &Cluster) {
    let versions = |count: usize| RenewReads { versions: vec![cluster.version(); count] };
    cluster.renew_reads(versions(RENEW_READS_MAX)).await.unwrap();
    let refused = cluster.renew_reads(versions(RENEW_READS_MAX + 1)).await;
    assert!(matches!(refused, Err(MetadataError::Malformed { .. })), "{refused:?}");
}

/// Runs the workers until everything that is due now is removed: among other things, the blocks of an object that was
/// retired a grace period ago.
async fn sweep(cluster: &Cluster, marker_blocks: u64) {
    let shutdown = CancellationToken::new();
    let last = cluster.events.last_sequence();
    let workers = tokio::spawn({
        let (metanode, shutdown) = (cluster.metanode.clone(), shutdown.clone());
        async move { metanode.run_workers(shutdown).await }
    });
    let collected = || {
        let blocks = cluster.events.past_after(last).into_iter().map(|event| match event.kind {
            EventKind::GarbageCollected { blocks } => blocks,
            _ => 0,
        });
        blocks.sum::<u64>() >= marker_blocks
    };
    while !collected() {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    workers.await.unwrap();
}

/// An object of `blocks` blocks that is overwritten at once. The removal of its blocks shows that a sweep has run.
async fn marker(cluster: &Cluster, blocks: usize) {
    cluster.put("b", "marker", "e", &vec![1; blocks]).await;
    cluster.put("b", "marker", "e", &[]).await;
}

async fn read(cluster: &Cluster, list: ListId) -> Result<usize, MetadataError> {
    let page = cluster.list_extents(ListExtents { list, start: 0, end: 100, max: 10 }).await?;
    Ok(bytes(&page.extents).len())
}

/// A GET that lasted longer than the grace period broke off when its object was overwritten, because the blocks that it
/// had yet to read were deleted.
#[tokio::test]
async fn a_version_that_is_still_being_read_outlives_its_grace_period() {
    let (cluster, clock) = Cluster::with_manual_clock_and_grace(GRACE).await;
    cluster.bucket("b").await;
    let read_on = cluster.put("b", "k", "old", &[10, 20]).await.version;
    let list = cluster.list("b", "k").await;
    cluster.put("b", "left", "old", &[10, 20]).await;
    let left = cluster.list("b", "left").await;
    assert_eq!(cluster.get("b", "k", LookupRange::Whole).await.unwrap().readable_ms, 60_000);
    cluster.put("b", "k", "new", &[]).await;
    cluster.delete("b", "left", WriteCondition::None).await.unwrap();
    // Fewer rounds than would make the datanodes, which send no heartbeats, count as dead.
    for round in 0..3 {
        marker(&cluster, 3).await;
        clock.advance(GRACE / 2);
        cluster.renew_reads(RenewReads { versions: vec![read_on] }).await.unwrap();
        clock.advance(GRACE / 2 + Duration::from_secs(1));
        // In the first round the version is removed that no request reads any more.
        sweep(&cluster, if round == 0 { 4 } else { 3 }).await;
        assert_eq!(read(&cluster, list).await, Ok(30), "round {round}");
        cluster.verify().await;
        assert_eq!(read(&cluster, left).await, Err(MetadataError::NoSuchVersion));
    }
    // The reader, or its gateway, is gone. A grace period later the version is removed too.
    clock.advance(GRACE);
    sweep(&cluster, 2).await;
    assert_eq!(read(&cluster, list).await, Err(MetadataError::NoSuchVersion));
    // A renewal does not bring back a removed version.
    cluster.renew_reads(RenewReads { versions: vec![read_on] }).await.unwrap();
    cluster.verify().await;
}

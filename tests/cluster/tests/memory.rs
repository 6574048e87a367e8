//! The memory of a gateway with many concurrent transfers.

use std::sync::Arc;

use cairn_cluster_tests::{Cluster, Mode, Options};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

const CLIENTS: usize = 64;

/// Length of each object in bytes: two blocks, so that the objects of one direction are twice the limit together.
const LENGTH: usize = 16 << 20;

/// Limit for a gateway's memory in bytes during 64 concurrent uploads and 64 downloads, independent of their size.
const MEMORY_MAX: u64 = 512 << 20;

/// Bytes that differ between chunks and between blocks, so that a misplaced one is found.
fn bytes() -> bytes::Bytes {
    (0..LENGTH as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 15) as u8).collect()
}

async fn compare(store: &dyn ObjectStore, path: Path, expected: &[u8]) -> anyhow::Result<()> {
    let mut stream = store.get(&path).await?.into_stream();
    let mut at = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        anyhow::ensure!(expected[at..].starts_with(&piece), "other bytes at {at} of {path}");
        at += piece.len();
    }
    anyhow::ensure!(at == expected.len(), "{path} ends at {at}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_uploads_and_downloads_at_once_stay_within_half_a_gibibyte() -> anyhow::Result<()> {
    let options = Options { datanodes: 1, replication: 1, block_size: 8 << 20, ..Options::default() };
    let cluster = Cluster::start(Mode::Processes, options).await?;
    let store: Arc<dyn ObjectStore> = Arc::new(cluster.client(0));
    let body = bytes();
    let put = |name: String| {
        let (store, body) = (store.clone(), body.clone());
        async move { anyhow::Ok(store.put(&Path::from(name), body.into()).await.map(drop)?) }
    };
    try_join_all((0..CLIENTS).map(|n| put(format!("first/{n}")))).await?;
    let uploads = try_join_all((0..CLIENTS).map(|n| put(format!("second/{n}"))));
    let downloads =
        try_join_all((0..CLIENTS).map(|n| compare(&*store, Path::from(format!("first/{n}")), &body)));
    tokio::try_join!(uploads, downloads)?;
    compare(&*store, Path::from("second/63"), &body).await?;
    let peak = cluster.gateway_memory_peak(0)?;
    assert!(peak < MEMORY_MAX, "{} MiB", peak >> 20);
    Ok(())
}

//! The promises of a cluster, tested with all parts in one process and with separate processes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_cluster_tests::{Cluster, Mode, Options};
use cairn_protocol::admin::NodeState;
use cairn_protocol::event::EventKind;
use futures_util::future::{join_all, try_join_all};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, WriteMultipart};

/// Makes two tests of each function, one for each kind of cluster.
macro_rules! both {
    ($($name:ident)+) => {
        mod in_process {
            $( #[tokio::test(flavor = "multi_thread")]
            async fn $name() -> anyhow::Result<()> { super::$name(super::Mode::InProcess).await } )+
        }
        mod processes {
            $( #[tokio::test(flavor = "multi_thread")]
            async fn $name() -> anyhow::Result<()> { super::$name(super::Mode::Processes).await } )+
        }
    };
}

both! {
    a_written_object_is_read_back_and_has_all_its_replicas
    of_fifty_conditional_writes_through_two_gateways_one_wins
    an_acknowledged_write_survives_a_killed_metanode
    a_killed_datanode_interrupts_no_transfer_and_its_replicas_are_restored
    a_new_datanode_takes_part_at_once
    blocks_of_deleted_objects_leave_the_datanodes
    blocks_of_an_upload_whose_client_hangs_up_are_deleted
    a_datanode_that_returns_brings_its_blocks_back
}

/// Pseudo-random bytes, so that a misplaced block is found.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

async fn a_written_object_is_read_back_and_has_all_its_replicas(mode: Mode) -> anyhow::Result<()> {
    let cluster = Cluster::start(mode, Options::default()).await?;
    let store = cluster.client(0);
    let body = bytes(1, 5_500_000);
    store.put(&Path::from("a/b"), body.clone().into()).await?;
    assert_eq!(store.get(&Path::from("a/b")).await?.bytes().await?, body);
    let range = store.get_range(&Path::from("a/b"), 1_048_570..2_100_000).await?;
    assert_eq!(range, body[1_048_570..2_100_000]);
    let status = cluster.status().await?;
    assert_eq!(status.under_replicated, 0);
    assert_eq!(status.blocks, 6, "5.5 MB in blocks of 1 MiB");
    assert_eq!(status.nodes.iter().map(|node| node.replicas).sum::<u64>(), 18);
    Ok(())
}

async fn of_fifty_conditional_writes_through_two_gateways_one_wins(mode: Mode) -> anyhow::Result<()> {
    let cluster = Cluster::start(mode, Options { gateways: 2, ..Options::default() }).await?;
    let stores = [cluster.client(0), cluster.client(1)];
    for round in 0..3 {
        let key = Path::from(format!("once-{round}"));
        let writes = (0..50).map(|writer: usize| {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let (store, key) = (&stores[writer % 2], &key);
            async move { (writer, store.put_opts(key, writer.to_string().into(), options).await) }
        });
        let results = join_all(writes).await;
        let winners: Vec<_> =
            results.iter().filter(|(_, result)| result.is_ok()).map(|(writer, _)| *writer).collect();
        let losers_know = results.iter().all(|(_, result)| match result {
            Ok(_) => true,
            Err(error) => matches!(error, object_store::Error::AlreadyExists { .. }),
        });
        assert!(losers_know, "{results:?}");
        assert_eq!(winners.len(), 1, "{results:?}");
        assert_eq!(stores[0].get(&key).await?.bytes().await?, winners[0].to_string());
    }
    Ok(())
}

async fn an_acknowledged_write_survives_a_killed_metanode(mode: Mode) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(mode, Options::default()).await?;
    let store = cluster.client(0);
    for number in 0..10u64 {
        store.put(&Path::from(format!("k{number}")), bytes(number, 100_000).into()).await?;
    }
    cluster.restart_metanode().await?;
    cluster
        .wait_for_status(|status| {
            status.nodes.iter().all(|node| node.state == NodeState::Live && node.last_contact_ms.is_some())
        })
        .await?;
    for number in 0..10u64 {
        let read = store.get(&Path::from(format!("k{number}"))).await?.bytes().await?;
        assert_eq!(read, bytes(number, 100_000));
    }
    store.put(&Path::from("after"), "still writable".into()).await?;
    Ok(())
}

async fn a_killed_datanode_interrupts_no_transfer_and_its_replicas_are_restored(
    mode: Mode,
) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(mode, Options { datanodes: 4, ..Options::default() }).await?;
    let store = Arc::new(cluster.client(0));
    let old = bytes(100, 12_000_000);
    store.put(&Path::from("old"), old.clone().into()).await?;

    // These uploads and downloads begin before the datanode dies and end after that.
    let uploads = join_all((0..4u64).map(|number| {
        let store = store.clone();
        async move {
            let mut upload =
                WriteMultipart::new(store.put_multipart(&Path::from(format!("new-{number}"))).await?);
            let body = bytes(number, 12_000_000);
            upload.write(&body[..6_000_000]);
            anyhow::Ok((upload, body))
        }
    }))
    .await;
    let downloads = try_join_all((0..4).map(|_| {
        let store = store.clone();
        async move { store.get(&Path::from("old")).await }
    }))
    .await?;

    cluster.kill_datanode(1).await?;

    for upload in uploads {
        let (mut upload, body) = upload?;
        upload.write(&body[6_000_000..]);
        upload.finish().await?;
    }
    for download in downloads {
        assert_eq!(download.bytes().await?, old);
    }
    for number in 0..4u64 {
        assert_eq!(
            store.get(&Path::from(format!("new-{number}"))).await?.bytes().await?,
            bytes(number, 12_000_000)
        );
    }
    let status = cluster
        .wait_for_status(|status| {
            status.under_replicated == 0 && status.nodes.iter().any(|node| node.state == NodeState::Dead)
        })
        .await?;
    assert_eq!(status.missing, 0);
    assert_eq!(store.get(&Path::from("old")).await?.bytes().await?, old);
    Ok(())
}

async fn a_new_datanode_takes_part_at_once(mode: Mode) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(mode, Options { datanodes: 2, ..Options::default() }).await?;
    let store = cluster.client(0);
    store.put(&Path::from("two-copies"), bytes(1, 100_000).into()).await?;
    cluster.add_datanode().await?;
    store.put(&Path::from("three-copies"), bytes(2, 100_000).into()).await?;
    let status = cluster
        .wait_for_status(|status| status.nodes.iter().map(|node| node.replicas).sum::<u64>() == 6)
        .await?;
    assert_eq!(
        status.under_replicated, 0,
        "the first object's third copy was made when there was a node for it"
    );
    Ok(())
}

async fn blocks_of_deleted_objects_leave_the_datanodes(mode: Mode) -> anyhow::Result<()> {
    let cluster = Cluster::start(mode, Options::default()).await?;
    let store = cluster.client(0);
    store.put(&Path::from("kept"), bytes(1, 2 << 20).into()).await?;
    store.put(&Path::from("gone"), bytes(2, 2 << 20).into()).await?;
    store.put(&Path::from("overwritten"), bytes(3, 2 << 20).into()).await?;
    store.delete(&Path::from("gone")).await?;
    store.put(&Path::from("overwritten"), "short".into()).await?;
    // Compaction frees the space of deleted blocks in segments that still hold other blocks. It runs in the background.
    let directories: Vec<_> = (0..3).map(|node| cluster.datanode_directory(node)).collect();
    let is_small = |directory: &PathBuf| size_of(directory).is_ok_and(|size| size < 3_000_000);
    cluster
        .wait_for_status(|status| {
            status.blocks == 3 && status.deletions_queued == 0 && directories.iter().all(is_small)
        })
        .await?;
    assert_eq!(store.get(&Path::from("kept")).await?.bytes().await?, bytes(1, 2 << 20));
    Ok(())
}

fn size_of(directory: &std::path::Path) -> std::io::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let data = entry.metadata()?;
        total += if data.is_dir() { size_of(&entry.path())? } else { data.len() };
    }
    Ok(total)
}

async fn blocks_of_an_upload_whose_client_hangs_up_are_deleted(mode: Mode) -> anyhow::Result<()> {
    let cluster = Cluster::start(mode, Options::default()).await?;
    let store = cluster.client(0);
    let upload = store.put_multipart(&Path::from("never")).await?;
    let mut upload = WriteMultipart::new(upload);
    upload.write(&bytes(9, 11_000_000));
    upload.wait_for_capacity(0).await?;
    upload.abort().await?;
    cluster.wait_for(|event| matches!(event, EventKind::UploadAborted { .. })).await?;
    cluster
        .wait_for_status(|status| status.blocks == 0 && status.nodes.iter().all(|node| node.replicas == 0))
        .await?;
    Ok(())
}

async fn a_datanode_that_returns_brings_its_blocks_back(mode: Mode) -> anyhow::Result<()> {
    let options = Options { dead_after: Duration::from_secs(600), ..Options::default() };
    let mut cluster = Cluster::start(mode, options).await?;
    let store = cluster.client(0);
    store.put(&Path::from("a"), bytes(1, 3_000_000).into()).await?;
    for node in 0..3 {
        cluster.kill_datanode(node).await?;
    }
    for node in 0..3 {
        cluster.restart_datanode(node).await?;
    }
    cluster
        .wait_for_status(|status| {
            status.nodes.iter().all(|node| node.incarnation >= 2 && node.state == NodeState::Live)
        })
        .await?;
    assert_eq!(store.get(&Path::from("a")).await?.bytes().await?, bytes(1, 3_000_000));
    assert_eq!(cluster.status().await?.under_replicated, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datanode_that_hangs_delays_clients_and_fails_none() -> anyhow::Result<()> {
    let cluster = Cluster::start(Mode::Processes, Options { datanodes: 4, ..Options::default() }).await?;
    let store = cluster.client(0);
    store.put(&Path::from("old"), bytes(1, 6_000_000).into()).await?;
    cluster.signal_datanode(2, "STOP").await?;
    assert_eq!(store.get(&Path::from("old")).await?.bytes().await?, bytes(1, 6_000_000));
    store.put(&Path::from("new"), bytes(2, 6_000_000).into()).await?;
    assert_eq!(store.get(&Path::from("new")).await?.bytes().await?, bytes(2, 6_000_000));
    cluster.signal_datanode(2, "CONT").await?;
    let status = cluster.wait_for_status(|status| status.under_replicated == 0).await?;
    assert_eq!(status.missing, 0);
    Ok(())
}

//! The promises of a write: only announced bytes are kept, a failed sync is never taken for a success, and writers share
//! syncs.

use bytes::Bytes;
use cairn_protocol::checksum::crc32c;
use futures_util::future::join_all;

use super::support::{block_on, content, id, open, put, read};
use crate::volume::sim::SimDisk;
use crate::volume::{BlockWriter, VolumeError};

#[test]
fn wrong_bytes_are_refused_and_leave_nothing() {
    for length in [3000usize, 40_000] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        let bytes = content(1, length);
        block_on(async {
            let mut writer = volume.writer(id(1), length as u64, 7).await.unwrap();
            writer.write(bytes.clone()).await.unwrap();
            let error = writer.finish().await.unwrap_err();
            assert!(matches!(error, VolumeError::WrongChecksum { expected: 7, .. }), "{error}");

            let mut writer = volume.writer(id(1), length as u64, crc32c(&bytes)).await.unwrap();
            writer.write(bytes.slice(1..)).await.unwrap();
            let error = writer.finish().await.unwrap_err();
            assert!(matches!(error, VolumeError::WrongLength { .. }), "{error}");

            let mut writer = volume.writer(id(1), length as u64, crc32c(&bytes)).await.unwrap();
            writer.write(bytes.clone()).await.unwrap();
            let error = writer.write(Bytes::from_static(b"x")).await.unwrap_err();
            assert!(matches!(error, VolumeError::WrongLength { .. }), "{error}");
            drop(writer);
            // The unfinished file is removed in the background.
            while disk.paths().iter().any(|path| path.starts_with("/data/own")) {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(volume.page(None, 10), []);
    }
}

#[test]
fn a_failed_sync_takes_the_volume_out_and_a_restart_finds_only_what_was_acknowledged() {
    for length in [500, 20_000] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        block_on(async {
            put(&volume, id(1), &content(1, length)).await.unwrap();
            disk.break_syncs();
            let failed = put(&volume, id(2), &content(2, length)).await.unwrap_err();
            assert!(matches!(failed, VolumeError::Failed(_)), "{failed}");
            assert!(volume.failure().is_some());
            // Blocks that were durable before can still be read, because each may be the last replica.
            assert_eq!(read(&volume, id(1)).unwrap(), content(1, length));
            assert!(matches!(read(&volume, id(2)), Err(VolumeError::NotFound(_))));
            let failed = put(&volume, id(3), &content(3, length)).await.unwrap_err();
            assert!(matches!(failed, VolumeError::Failed(_)), "{failed}");
        });
        let disk = disk.restart(1);
        let volume = open(&disk).unwrap();
        assert_eq!(volume.page(None, 10).len(), 1);
        assert_eq!(read(&volume, id(1)).unwrap(), content(1, length));
    }
}

#[test]
fn writers_that_wait_at_the_same_time_share_a_sync() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    let before = disk.syncs();
    let blocks: Vec<Bytes> = (0..20).map(|n| content(n, 100)).collect();
    #[expect(clippy::await_holding_lock, reason = "the only await under it polls once and does not wait")]
    block_on(async {
        let mut writers = Vec::new();
        for (n, bytes) in (0..).zip(&blocks) {
            // The reservation is made on another thread, so the writers are opened before the syncs are held.
            let mut writer = volume.writer(id(n), bytes.len() as u64, crc32c(bytes)).await.unwrap();
            writer.write(bytes.clone()).await.unwrap();
            writers.push(writer);
        }
        let mut puts = Box::pin(join_all(writers.into_iter().map(BlockWriter::finish)));
        let held = disk.hold_syncs();
        assert!(futures_util::poll!(&mut puts).is_pending());
        drop(held);
        puts.await.into_iter().for_each(Result::unwrap);
    });
    // One sync for the new segment, one for the first writers, and one for all others.
    assert!(disk.syncs() - before <= 3, "{}", disk.syncs() - before);
    assert_eq!(volume.page(None, 100).len(), 20);
}

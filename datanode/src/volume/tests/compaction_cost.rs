//! The costs of compaction and of pages of the index: neither may read the whole index under its lock.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::support::{block_on, content, delete_all, id, open, put_all, read};
use crate::volume::disk::Disk;
use crate::volume::index::UNDER_ONE_LOCK;
use crate::volume::sim::SimDisk;
use crate::volume::test_support::pretend;
use crate::volume::{Volume, VolumeError};

/// Number of blocks in other places, which compaction must not read.
const ELSEWHERE: u32 = 5000;

/// A volume whose first segment holds a block among dead ones, and which holds many others.
fn mostly_dead(disk: &SimDisk) -> Volume {
    let volume = open(disk).unwrap();
    block_on(async {
        put_all(&volume, 0..12, 1500).await;
        delete_all(&volume, 1..10).await;
    });
    pretend(&volume, ELSEWHERE);
    volume
}

/// Entries of the index that were read in pages so far.
fn paged(volume: &Volume) -> usize {
    volume.state.index().paged.load(Ordering::Relaxed)
}

fn first_segment() -> PathBuf {
    PathBuf::from("/data/shared/00000001.segment")
}

/// Compaction once searched the whole index, under its lock, for blocks that its scan of the segment might have missed.
#[test]
fn compaction_does_not_look_at_blocks_in_other_segments() {
    let disk = SimDisk::new(1 << 30);
    let volume = mostly_dead(&disk);
    let before = paged(&volume);
    let done = volume.compact().unwrap().unwrap();
    assert_eq!((done.moved, paged(&volume) - before), (1, 0));
    assert_eq!(read(&volume, id(0)).unwrap(), content(0, 1500));
}

#[test]
fn compaction_does_not_look_at_blocks_in_other_segments_for_a_damaged_block() {
    let disk = SimDisk::new(1 << 30);
    let volume = mostly_dead(&disk);
    // The flipped bit is in the data of the first block.
    disk.flip_bit(&first_segment(), 64 + 64 + 4 + 100);
    let before = paged(&volume);
    let done = volume.compact().unwrap().unwrap();
    assert_eq!((done.damaged, paged(&volume) - before), (vec![id(0)], 0));
    assert_eq!(volume.quarantined(), [id(0)]);
}

#[test]
fn a_block_whose_header_is_damaged_is_quarantined_without_a_long_lock_of_the_index() {
    let disk = SimDisk::new(1 << 30);
    let volume = mostly_dead(&disk);
    disk.flip_bit(&first_segment(), 64 + 10);
    let done = volume.compact().unwrap().unwrap();
    assert_eq!((done.damaged, volume.quarantined()), (vec![id(0)], vec![id(0)]));
    assert!(volume.state.index().paged_at_once.load(Ordering::Relaxed) <= UNDER_ONE_LOCK);
    assert!(matches!(volume.reader(id(0)), Err(VolumeError::Damaged { .. })));
}

/// A page of a block report, and half a megabyte of a checkpoint, were once read under one lock.
#[test]
fn long_pages_and_checkpoints_let_others_at_the_index_in_between() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    let held = pretend(&volume, ELSEWHERE);
    for limit in [0, 1, UNDER_ONE_LOCK, UNDER_ONE_LOCK + 1, 4000, usize::MAX] {
        let page: Vec<_> = volume.page(None, limit).into_iter().map(|(id, _)| id).collect();
        assert_eq!(page, held[..limit.min(held.len())]);
        let page: Vec<_> = volume.page(Some(held[9]), limit).into_iter().map(|(id, _)| id).collect();
        assert_eq!(page, held[10..limit.saturating_add(10).min(held.len())]);
    }
    volume.checkpoint().unwrap();
    assert!(volume.state.index().paged_at_once.load(Ordering::Relaxed) <= UNDER_ONE_LOCK);
}

/// The log's thread, for which all writers wait, once searched the whole index for the blocks of a segment whose file was gone.
#[test]
fn blocks_lost_with_a_segment_are_found_without_a_long_lock_of_the_index() {
    let disk = SimDisk::new(1 << 30);
    let volume = mostly_dead(&disk);
    disk.remove_file(&first_segment()).unwrap();
    let lost = volume.lose_missing_segments().unwrap();
    assert!(lost.contains(&id(0)), "{lost:?}");
    assert!(volume.state.index().paged_at_once.load(Ordering::Relaxed) <= UNDER_ONE_LOCK);
    // For segments without blocks the index is not searched.
    let before = paged(&volume);
    assert_eq!(volume.lose_missing_segments().unwrap(), []);
    assert_eq!(paged(&volume), before);
}

/// A writer once waited for the index, and called the disk for its free space, on a thread that serves requests.
#[test]
fn a_writer_that_waits_for_the_index_does_not_hold_up_its_thread() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        let mut writer = std::pin::pin!(volume.writer(id(1), 100, 0));
        let first = std::future::poll_fn(|context| {
            let _busy = volume.state.index_mut();
            std::task::Poll::Ready(writer.as_mut().poll(context))
        });
        assert!(first.await.is_pending());
        writer.await.unwrap();
    });
}

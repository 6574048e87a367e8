//! A full volume frees the space of dead records by compaction, and no deleted block comes back because of it.

use std::path::PathBuf;
use std::sync::Arc;

use cairn_protocol::env::{Env, Timestamp};
use proptest::prelude::*;

use super::model::{Model, op};
use super::support::{block_on, content, delete_all, id, open_in, open_with, options, put, put_all, read};
use crate::volume::disk::Disk;
use crate::volume::log::Change;
use crate::volume::sim::SimDisk;
use crate::volume::{Volume, VolumeError, VolumeOptions};

/// Space for some 200 blocks of 1500 bytes, on a disk that has more.
fn small() -> VolumeOptions {
    VolumeOptions { capacity_bytes_max: Some(400_000), reserve_bytes: 60_000, ..options() }
}

/// Fills a volume, and deletes every fourth block. Returns the number of blocks stored.
fn three_quarters_alive(volume: &Volume) -> u16 {
    let mut stored = 0;
    while block_on(put(volume, id(stored), &content(stored.into(), 1500))).is_ok() {
        stored += 1;
    }
    for n in (0..stored).filter(|n| n % 4 == 0) {
        assert!(block_on(volume.delete(id(n))).unwrap());
    }
    stored
}

fn check_three_quarters(volume: &Volume, stored: u16) {
    for n in 0..stored {
        match read(volume, id(n)) {
            Ok(bytes) => assert!(n % 4 != 0 && bytes == content(n.into(), 1500), "{n}"),
            Err(error) => assert!(n % 4 == 0 && matches!(error, VolumeError::NotFound(_)), "{n}: {error}"),
        }
    }
}

/// Segments that were more than half alive were never compacted. So a disk could be full although a quarter of it was dead.
#[test]
fn a_full_volume_without_writers_frees_the_space_of_its_dead_records() {
    let volume = open_with(&SimDisk::new(1 << 30), small()).unwrap();
    let stored = three_quarters_alive(&volume);
    let before = volume.usage().unwrap();
    while volume.compact().unwrap().is_some() {}
    let after = volume.usage().unwrap();
    // It compacts until there is space for a segment, and no further, because compaction costs writes.
    assert!(before.available < 1600 && after.available >= 16 * 1024, "{before:?} {after:?}");
    assert!(after.used + 16 * 1024 * 3 > before.used, "{before:?} {after:?}");
    check_three_quarters(&volume, stored);
}

#[test]
fn a_write_to_a_full_volume_waits_for_the_space_of_dead_records() {
    let volume = open_with(&SimDisk::new(1 << 30), small()).unwrap();
    let stored = three_quarters_alive(&volume);
    let more = stored / 5;
    for n in 0..more {
        block_on(put(&volume, id(4 * n), &content(9, 1500))).unwrap();
        assert_eq!(read(&volume, id(4 * n)).unwrap(), content(9, 1500));
    }
    assert_eq!(volume.len(), u64::from(stored - stored.div_ceil(4) + more));
}

#[test]
fn a_volume_with_space_leaves_segments_alone_that_are_more_than_half_alive() {
    let options = VolumeOptions { capacity_bytes_max: None, ..small() };
    let volume = open_with(&SimDisk::new(1 << 30), options).unwrap();
    block_on(async {
        put_all(&volume, 0..100, 1500).await;
        delete_all(&volume, (0..100).filter(|n| n % 4 == 0)).await;
    });
    assert_eq!(volume.compact().unwrap(), None);
}

/// With a quota a volume counts as full until a write succeeds. It did not try a write after compaction had freed space.
#[test]
fn compaction_frees_space_where_there_is_a_quota() {
    let disk = SimDisk::new(1 << 30);
    let volume = open_with(&disk, options()).unwrap();
    block_on(async {
        put_all(&volume, 0..40, 1500).await;
        delete_all(&volume, 0..20).await;
        disk.set_quota(Some(disk.used() + 1000));
        let refused = put(&volume, id(50), &content(50, 40_000)).await.unwrap_err();
        assert!(matches!(refused, VolumeError::Full { .. }), "{refused}");
        put(&volume, id(51), &content(51, 1500)).await.unwrap();
        assert_eq!(read(&volume, id(51)).unwrap(), content(51, 1500));
    });
}

/// Tombstones were dropped once the segment of their target was gone. But an interrupted compaction leaves records of moved blocks
/// behind. When such a block was deleted, its newest record and then its tombstone were compacted away, and a start that read all
/// segments found the block in the segment that was left behind.
#[test]
fn a_compaction_that_breaks_off_anywhere_brings_no_deleted_block_back() {
    // The segment to which blocks are moved has space for `space` of them, so that some are durable before others.
    for space in 0..4 {
        for power_fails_after in 1.. {
            let (disk, volume, first_new) = about_to_compact(space);
            disk.fail_power_after(power_fails_after);
            let compacted = volume.compact();
            drop(volume);
            if compacted.is_ok() {
                assert!(power_fails_after > 5);
                break;
            }
            let disk = disk.restart(power_fails_after);
            let volume = open_with(&disk, options()).unwrap();
            check_three_quarters(&volume, BLOCKS);
            // The blocks that were moved are deleted, and their segments and tombstones are compacted. The segment from which they
            // were moved stays, because it is more than half alive and there is space.
            for (id, _) in volume.page(None, usize::MAX) {
                if volume.state.index().get(&id).is_some_and(|entry| entry.place.segment() >= first_new) {
                    assert!(block_on(volume.delete(id)).unwrap());
                }
            }
            seal(&volume);
            while volume.compact().unwrap().is_some() {}
            let held = volume.page(None, usize::MAX);
            drop(volume);
            disk.remove_file(&PathBuf::from("/data/checkpoint")).unwrap();
            let volume = open_with(&disk, options()).unwrap();
            assert_eq!(volume.page(None, usize::MAX), held, "{space} {power_fails_after}");
        }
    }
}

/// Earlier versions kept no list of unfinished compactions. They compacted only segments that were less than half alive.
#[test]
fn a_volume_of_an_earlier_version_is_taken_for_one_whose_compaction_broke_off() {
    let disk = SimDisk::new(1 << 30);
    let volume = open_with(&disk, options()).unwrap();
    block_on(async {
        put_all(&volume, 0..30, 1500).await;
        delete_all(&volume, 1..9).await;
    });
    let unfinished = |volume: &Volume| volume.state.index().unfinished();
    drop(volume);
    let volume = open_with(&disk, options()).unwrap();
    assert!(unfinished(&volume).is_empty());
    drop(volume);
    disk.remove_file(&PathBuf::from("/data/compacting.json")).unwrap();
    let volume = open_with(&disk, options()).unwrap();
    assert_eq!(unfinished(&volume), [1]);
    drop(volume);
    // The segment counts as unfinished until it is compacted.
    let volume = open_with(&disk, options()).unwrap();
    assert_eq!(unfinished(&volume), [1]);
    assert_eq!(volume.compact().unwrap().unwrap().moved, 2);
    assert!(unfinished(&volume).is_empty());
}

const BLOCKS: u16 = 100;

/// A volume without space whose segments are three quarters alive, and its active segment, which has space for `space` more blocks.
fn about_to_compact(space: u16) -> (SimDisk, Volume, u32) {
    let disk = SimDisk::new(1 << 30);
    let volume = open_with(&disk, options()).unwrap();
    block_on(async {
        put_all(&volume, 0..BLOCKS, 1500).await;
        delete_all(&volume, (0..BLOCKS).filter(|n| n % 4 == 0)).await;
    });
    seal(&volume);
    for n in space..10 {
        block_on(put(&volume, id(1000 + n), &content(n.into(), 1500))).unwrap();
    }
    let first_new = volume.state.index().position.segment;
    let capacity_bytes_max = Some(volume.usage().unwrap().used + 30_000);
    drop(volume);
    let options = VolumeOptions { capacity_bytes_max, reserve_bytes: 60_000, ..options() };
    let volume = open_with(&disk, options).unwrap();
    (disk, volume, first_new)
}

fn seal(volume: &Volume) {
    volume.log().unwrap().submit(Change::Seal).unwrap().wait().unwrap();
}

/// A block that was stored twice left its older record without a tombstone. A start found that record after the newer one was deleted
/// and compacted.
#[test]
fn a_block_that_was_stored_twice_is_deleted_for_good() {
    let disk = SimDisk::new(1 << 30);
    let volume = open_with(&disk, options()).unwrap();
    block_on(put_all(&volume, 0..4, 1500));
    seal(&volume);
    block_on(put(&volume, id(0), &content(0, 1500))).unwrap();
    seal(&volume);
    assert!(block_on(volume.delete(id(0))).unwrap());
    seal(&volume);
    while volume.compact().unwrap().is_some() {}
    drop(volume);
    disk.remove_file(&PathBuf::from("/data/checkpoint")).unwrap();
    let volume = open_with(&disk, options()).unwrap();
    assert_eq!((volume.get(&id(0)), volume.len()), (None, 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// The promises of a volume that is nearly full all the time, so that it compacts what is more than half alive.
    #[test]
    fn a_full_volume_loses_nothing_and_brings_nothing_back_when_the_power_fails(
        rounds in proptest::collection::vec(
            (proptest::collection::vec(op(), 1..30), 1u64..600, any::<u64>()),
            1..5,
        ),
    ) {
        let mut disk = SimDisk::new(1 << 30);
        let mut model = Model::default();
        let (env, _clock) = Env::manual(1, Timestamp(1_000_000));
        let options = VolumeOptions { capacity_bytes_max: Some(100_000), reserve_bytes: 40_000, ..options() };
        let open = |disk: &SimDisk| open_in(disk, options.clone(), env.clone());
        for (ops, power_fails_after, seed) in rounds {
            disk.fail_power_after(power_fails_after);
            if let Ok(volume) = open(&disk).map(Arc::new) {
                block_on(async {
                    for op in &ops {
                        model.run(&volume, &disk, op).await;
                    }
                });
                volume.close();
            }
            disk = disk.restart(seed);
            let volume = open(&disk).unwrap();
            model.check(&volume);
            volume.close();
        }
        // Without a checkpoint the start reads all segments.
        disk.remove_file(&PathBuf::from("/data/checkpoint")).unwrap();
        model.check(&open(&disk).unwrap());
    }
}

//! The promises of a start on a disk with bad places: the volume opens, loses no other block, and destroys no bytes.

use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::support::{block_on, content, delete_all, id, open, open_with, options, put, put_all, read};
use crate::volume::disk::Disk;
use crate::volume::sim::SimDisk;
use crate::volume::{Volume, VolumeError, VolumeOptions};

const EMFILE: i32 = 24;
const ENOMEM: i32 = 12;

fn length(n: u16) -> usize {
    if n.is_multiple_of(5) { 20_000 } else { 700 }
}

/// Forty blocks, stored before and after a checkpoint; some of them deleted.
fn with_blocks(disk: &SimDisk) -> Volume {
    let volume = open(disk).unwrap();
    block_on(async {
        for n in 0..40 {
            put(&volume, id(n), &content(n.into(), length(n))).await.unwrap();
            if n == 20 {
                volume.checkpoint().unwrap();
            }
        }
        delete_all(&volume, 30..34).await;
    });
    volume
}

fn stored() -> impl Iterator<Item = u16> {
    (0..40).filter(|n| !(30..34).contains(n))
}

/// The blocks that do not read back, and whether each is known to be damaged.
fn missing(volume: &Volume) -> Vec<(u16, bool)> {
    let mut missing = Vec::new();
    for n in stored() {
        match read(volume, id(n)) {
            Ok(bytes) => assert!(bytes == content(n.into(), length(n)), "{n} is something else"),
            Err(VolumeError::Damaged { .. }) => missing.push((n, true)),
            Err(VolumeError::NotFound(_)) => missing.push((n, false)),
            Err(error) => panic!("{n}: {error}"),
        }
    }
    missing
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// One unreadable sector in the checkpoint, in a header or in the middle of the log once kept the whole volume from opening.
    #[test]
    fn one_bad_sector_anywhere_costs_one_block_at_most_and_never_the_volume(
        file in any::<prop::sample::Index>(),
        offset in any::<prop::sample::Index>(),
        is_unreadable in any::<bool>(),
        loses_checkpoint in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let disk = SimDisk::new(1 << 30);
        drop(with_blocks(&disk));
        if loses_checkpoint {
            disk.remove_file(&PathBuf::from("/data/checkpoint")).unwrap();
        }
        let disk = disk.restart(1);
        let is_block = |path: &PathBuf| ["shared", "own", "checkpoint"].iter().any(|below| path.starts_with(format!("/data/{below}")));
        let files: Vec<PathBuf> = disk.paths().into_iter().filter(|path| is_block(path) && disk.length(path) > 0).collect();
        let path = file.get(&files);
        let at = offset.index(disk.length(path));
        if is_unreadable {
            disk.break_sector(path, at);
        } else {
            disk.scramble_sector(path, at, seed);
        }
        let volume = open(&disk).unwrap();
        let lost = missing(&volume);
        // A sector holds parts of two small blocks at most.
        prop_assert!(lost.len() <= 2, "{:?}", lost);
        // Every lost block is in quarantine, so no bytes were destroyed.
        let kept = disk.paths().iter().filter(|path| path.starts_with("/data/quarantine")).count();
        let is_known = lost.iter().all(|(_, is_known)| *is_known);
        prop_assert!(is_known || kept > 0, "{:?} in {:?}", lost, path);
        for n in 30..34 {
            let back = volume.get(&id(n)).is_some();
            // If a tombstone was lost, the deleted block is there again, and the metanode orders its deletion again.
            prop_assert!(!back || path.starts_with("/data/shared"));
        }
        // The volume stores new blocks, and the next start finds the same state.
        block_on(put(&volume, id(100), &content(100, 700))).unwrap();
        drop(volume);
        let volume = open(&disk.restart(seed)).unwrap();
        prop_assert_eq!(missing(&volume).len(), lost.len());
        prop_assert!(read(&volume, id(100)).unwrap() == content(100, 700));
    }
}

/// A block in a dedicated segment was acknowledged and damaged before the first checkpoint, and the machine crashed. Recovery took it
/// for half-written and removed it, although it may have been the last replica.
#[test]
fn an_acknowledged_block_that_rots_before_its_first_checkpoint_is_set_aside_and_not_removed() {
    // The offsets are in the header, the chunk table and the bytes.
    for at in [10, 65, 9000] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        block_on(put(&volume, id(1), &content(1, 20_000))).unwrap();
        let path = disk.paths().into_iter().find(|path| path.starts_with("/data/own")).unwrap();
        disk.flip_bit(&path, at);
        drop(volume);
        let disk = disk.restart(1);
        let volume = open(&disk).unwrap();
        assert_eq!((volume.quarantined(), volume.len()), (vec![id(1)], 0), "byte {at}");
        assert_eq!((volume.recovery().set_aside, volume.recovery().dropped), (1, 0));
        let kept = disk.paths().into_iter().find(|path| path.starts_with("/data/quarantine")).unwrap();
        assert!(disk.length(&kept) > 20_000);
    }
}

/// The same happened in a shared segment: the damaged record was skipped, or cut off with the torn tail.
#[test]
fn an_acknowledged_small_block_that_rots_before_its_first_checkpoint_is_set_aside_and_not_cut_off() {
    // The middle block and the last one. The segment's header has 64 bytes, and each record 64 + 4 + 1000, rounded up to a
    // multiple of 64.
    for n in [1u16, 2] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        block_on(put_all(&volume, 0..3, 1000));
        disk.flip_bit(&PathBuf::from("/data/shared/00000001.segment"), 64 + usize::from(n) * 1088 + 500);
        drop(volume);
        let volume = open(&disk.restart(1)).unwrap();
        assert_eq!((volume.quarantined(), volume.len()), (vec![id(n)], 2));
        // With a damaged header the block's id is unknown. The bytes are kept nevertheless.
        drop(volume);
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        block_on(put_all(&volume, 0..3, 1000));
        disk.flip_bit(&PathBuf::from("/data/shared/00000001.segment"), 64 + usize::from(n) * 1088 + 10);
        drop(volume);
        let disk = disk.restart(1);
        let volume = open(&disk).unwrap();
        assert_eq!((volume.quarantined(), volume.len()), (vec![], 2));
        let kept = disk.paths().into_iter().find(|path| path.starts_with("/data/quarantine")).unwrap();
        assert!(kept.to_string_lossy().contains("stretch-00000001"), "{kept:?}");
        assert_eq!(disk.length(&kept), 1088);
    }
}

/// A block that was being received when the process died was never acknowledged, so it is removed and not reported as damaged.
#[test]
fn a_block_that_was_being_received_is_removed_and_not_set_aside() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        let mut writer = volume.writer(id(1), 3 << 20, 0).await.unwrap();
        writer.write(content(1, 2 << 20)).await.unwrap();
        std::mem::forget(writer);
    });
    drop(volume);
    // The process dies and the machine does not.
    let volume = open(&disk).unwrap();
    assert_eq!((volume.recovery().dropped, volume.recovery().set_aside), (1, 0));
    assert!(disk.paths().iter().all(|path| !path.starts_with("/data/own")));
}

/// EMFILE in the probe, in a checkpoint or in a sync of a directory made the volume fail, and all its replicas counted as lost.
#[test]
fn a_lack_of_file_descriptors_or_memory_is_no_broken_disk() {
    for errno in [EMFILE, ENOMEM] {
        let disk = SimDisk::new(1 << 30);
        let volume = with_blocks(&disk);
        disk.set_shortage(Some(errno));
        volume.probe().unwrap();
        assert!(volume.checkpoint().is_err());
        assert!(volume.lose_missing_segments().unwrap().is_empty());
        block_on(async {
            // Small blocks need no further file until the segment is full.
            for n in 50..80 {
                let _ = put(&volume, id(n), &content(n.into(), 700)).await;
            }
            assert!(put(&volume, id(90), &content(90, 20_000)).await.is_err());
            let _ = volume.delete(id(0)).await;
            let _ = volume.delete(id(1)).await;
        });
        assert!(read(&volume, id(5)).is_err());
        while matches!(volume.compact(), Ok(Some(_))) {}
        volume.usage().unwrap();
        assert_eq!((volume.failure(), volume.quarantined()), (None, vec![]));
        disk.set_shortage(None);
        block_on(async {
            put_all(&volume, [100, 101], 700).await;
            put(&volume, id(105), &content(105, 20_000)).await.unwrap();
        });
        volume.checkpoint().unwrap();
        volume.probe().unwrap();
        assert!(missing(&volume).iter().all(|(n, _)| [0, 1].contains(n)));
        drop(volume);
        let volume = open(&disk.restart(1)).unwrap();
        assert!(missing(&volume).iter().all(|(n, _)| [0, 1].contains(n)));
        assert!(read(&volume, id(105)).unwrap() == content(105, 20_000));
    }
}

/// A block that cannot be moved into the trash for lack of a file descriptor must not be removed instead.
#[test]
fn a_lack_of_file_descriptors_does_not_empty_the_trash() {
    let disk = SimDisk::new(1 << 30);
    let options = VolumeOptions { trash_age: Duration::from_secs(3600), ..options() };
    let volume = open_with(&disk, options).unwrap();
    block_on(async {
        put_all(&volume, 0..4, 20_000).await;
        for (n, left) in (0..4).zip(0u64..) {
            disk.set_shortage_after(left, Some(EMFILE));
            let deleted = volume.delete(id(n)).await;
            disk.set_shortage(None);
            assert!(deleted.is_ok() || volume.get(&id(n)).is_some() || volume.is_trashed(&id(n)), "{n}");
            assert!(volume.get(&id(n)).is_some() != volume.is_trashed(&id(n)), "{n}");
        }
    });
    assert_eq!(volume.failure(), None);
    for n in 0..4 {
        assert!(volume.restore(id(n)).unwrap().is_some());
        assert!(read(&volume, id(n)).unwrap() == content(n.into(), 20_000));
    }
}

/// A volume that could not be opened for lack of a file descriptor was left out, and all its blocks were copied again from other nodes.
#[test]
fn a_start_that_lacks_file_descriptors_ends_and_loses_nothing() {
    let disk = SimDisk::new(1 << 30);
    drop(with_blocks(&disk));
    disk.set_shortage(Some(EMFILE));
    assert!(open(&disk).is_err());
    disk.set_shortage(None);
    assert_eq!(missing(&open(&disk).unwrap()), []);
}

/// A segment that cannot be opened at all costs its own blocks.
#[test]
fn damage_in_quarantine_or_in_a_whole_segment_does_not_keep_a_volume_from_opening() {
    let disk = SimDisk::new(1 << 30);
    let options = VolumeOptions { segment_bytes_max: 4096, ..options() };
    drop(with_blocks(&disk));
    disk.break_below("/data/shared/00000001.segment", crate::volume::sim::FaultKind::Dead, 0);
    let volume = open_with(&disk, options).unwrap();
    assert_eq!(volume.recovery().unreadable, 1);
    let lost = missing(&volume);
    assert!(!lost.is_empty() && lost.len() < 36, "{lost:?}");
    block_on(put(&volume, id(100), &content(100, 700))).unwrap();
}

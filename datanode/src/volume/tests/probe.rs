//! The promises of a probe: it finds missing segments at a bounded cost, and does not wait for compaction.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::support::{block_on, content, id, open, put, read};
use crate::volume::disk::{Disk, RealDisk};
use crate::volume::log::Change;
use crate::volume::probe::SEGMENTS_LOOKED_FOR;
use crate::volume::sim::{FaultKind, SimDisk};
use crate::volume::state::VolumeState;
use crate::volume::{Volume, VolumeError};

/// A volume with one block in each of `count` segments.
fn with_segments(disk: &SimDisk, count: u16) -> Volume {
    let volume = open(disk).unwrap();
    for n in 0..count {
        block_on(put(&volume, id(n), &content(n.into(), 100))).unwrap();
        volume.log().unwrap().submit(Change::Seal).unwrap().wait().unwrap();
    }
    volume
}

/// Each probe once compared each segment with each name in the directory. With some TiB of blocks this took seconds of CPU every five
/// seconds.
#[test]
fn a_probe_looks_for_a_bounded_number_of_files_and_all_get_their_turn() {
    let disk = SimDisk::new(1 << 30);
    let volume = with_segments(&disk, 2 * SEGMENTS_LOOKED_FOR as u16 + 10);
    let probe = || {
        let before = disk.names_seen();
        let lost = volume.lose_missing_segments().unwrap();
        assert!(disk.names_seen() - before <= SEGMENTS_LOOKED_FOR as u64 + 1);
        lost
    };
    // One segment that is checked last, and one that was checked first.
    for round in 0..3 {
        assert_eq!(probe(), [], "{round}");
    }
    let [first, last] = [0, 2 * SEGMENTS_LOOKED_FOR as u16 + 9];
    for n in [first, last] {
        let segment = VolumeState::segment_name(u32::from(n) + 1);
        disk.remove_file(&PathBuf::from("/data/shared").join(segment)).unwrap();
    }
    assert_eq!([probe(), probe(), probe()], [vec![id(first)], vec![], vec![id(last)]]);
    assert_eq!([probe(), probe(), probe()], [vec![], vec![], vec![]]);
    assert_eq!(read(&volume, id(1)).unwrap(), content(1, 100));
}

/// Even when there is no segment to look for, a probe must notice that the directory is gone.
#[test]
fn a_directory_of_segments_that_is_gone_fails_the_probe_and_costs_no_block() {
    for segments in [0, 3] {
        let disk = SimDisk::new(1 << 30);
        let volume = with_segments(&disk, segments);
        disk.break_below("/data/shared", FaultKind::Unmounted, 0);
        let failed = volume.lose_missing_segments().unwrap_err();
        assert!(matches!(failed, VolumeError::Failed(_)), "{failed}");
        assert_eq!(volume.len(), u64::from(segments));
    }
}

/// A disk is probed every few seconds, and whenever a block is missing or cannot be read. Two probes at once read back each other's page,
/// or found each other's file, and took a disk out that worked: a node that missed some blocks lost all of them.
#[test]
fn probes_at_the_same_time_do_not_take_a_working_disk_out() {
    let disk = SimDisk::new(1 << 30);
    let volume = with_segments(&disk, 1);
    // At its quota, so that a probe looks for space too.
    volume.state.is_at_quota.store(true, Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    volume.probe().unwrap();
                    volume.state.is_at_quota.store(true, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(volume.failure(), None);
}

#[test]
fn a_lack_of_file_descriptors_makes_no_segment_missing() {
    let disk = SimDisk::new(1 << 30);
    let volume = with_segments(&disk, 3);
    disk.set_shortage(Some(24));
    assert_eq!(volume.lose_missing_segments().unwrap(), []);
    assert_eq!((volume.failure(), volume.len()), (None, 3));
}

/// Writers to a full disk wait for the lock of compaction. A probe must not hold it while it waits for the disk.
#[test]
fn a_probe_that_finds_all_segments_does_not_wait_for_compaction_or_delay_it() {
    let disk = SimDisk::new(1 << 30);
    let volume = with_segments(&disk, 3);
    let _compacting = volume.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(volume.lose_missing_segments().unwrap(), []);
}

#[test]
fn a_real_disk_finds_the_files_of_a_directory_and_notices_a_missing_directory() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a"), b"x").unwrap();
    let names = ["a", "b"].map(String::from);
    assert_eq!(RealDisk.are_there(directory.path(), &names).unwrap(), [true, false]);
    let file = directory.path().join("a");
    let errors =
        [directory.path().join("c"), file].map(|path| RealDisk.are_there(&path, &[]).unwrap_err().kind());
    assert_eq!(errors, [std::io::ErrorKind::NotFound, std::io::ErrorKind::NotADirectory]);
}

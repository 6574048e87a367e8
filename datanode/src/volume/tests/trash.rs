//! The promises of the trash: a deleted block can be restored for a while, also after a crash, and the trash never takes space that
//! a write needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::env::{Env, ManualClock, Timestamp};

use super::support::{block_on, content, delete_all, id, identity, options, put, put_all, read};
use crate::volume::disk::{Disk, RealDisk};
use crate::volume::identity::{DirectoryLock, Identity};
use crate::volume::sim::{FaultKind, SimDisk};
use crate::volume::{Volume, VolumeError, VolumeOptions};

const AGE: Duration = Duration::from_secs(3600);

/// The lengths of a small block and of one in a dedicated segment.
const LENGTHS: [usize; 2] = [1500, 20_000];

fn trash_options() -> VolumeOptions {
    VolumeOptions { trash_age: AGE, ..options() }
}

fn clock() -> (Env, ManualClock) {
    Env::manual(1, Timestamp(1_000_000))
}

fn open_with(disk: &SimDisk, options: VolumeOptions, env: Env) -> Volume {
    let directory = PathBuf::from("/data");
    disk.create_dir(&directory).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let lock = DirectoryLock::take(disk, &directory).unwrap();
    identity().write(disk, &directory).unwrap();
    Volume::open(Arc::new(disk.clone()), &directory, lock, &identity(), options, env).unwrap()
}

fn open(disk: &SimDisk) -> Volume {
    open_with(disk, trash_options(), clock().0)
}

fn restored(volume: &Volume, n: u16) -> Option<Bytes> {
    // A restore waits for the log, so it needs a thread that may block.
    let found = std::thread::scope(|scope| scope.spawn(|| volume.restore(id(n))).join().unwrap()).unwrap();
    found.map(|_| read(volume, id(n)).unwrap())
}

fn is_gone(volume: &Volume, n: u16) -> bool {
    matches!(volume.reader(id(n)), Err(VolumeError::NotFound(_)))
}

#[test]
fn a_deleted_block_is_not_found_and_can_be_restored_also_after_a_crash() {
    for length in LENGTHS {
        for loses_checkpoint in [false, true] {
            let disk = SimDisk::new(1 << 30);
            let volume = open(&disk);
            block_on(async {
                put_all(&volume, 0..6, length).await;
                for n in 0..3 {
                    assert!(volume.delete(id(n)).await.unwrap());
                }
            });
            let check = |volume: &Volume| {
                assert!((0..3).all(|n| is_gone(volume, n) && volume.is_trashed(&id(n))));
                assert_eq!((volume.page(None, 10).len(), volume.len()), (3, 3));
            };
            check(&volume);
            assert!(restored(&volume, 0) == Some(content(0, length)));
            assert_eq!(restored(&volume, 9), None);
            block_on(volume.delete(id(0))).unwrap();
            let usage = |volume: &Volume| volume.usage().map(|usage| (usage.used, usage.trash)).unwrap();
            let before = usage(&volume);
            if loses_checkpoint {
                disk.remove_file(&PathBuf::from("/data/checkpoint")).unwrap();
            } else {
                volume.checkpoint().unwrap();
            }
            drop(volume);
            let disk = disk.restart(7);
            let volume = open(&disk);
            check(&volume);
            assert_eq!(usage(&volume), before);
            for n in 0..3 {
                assert!(restored(&volume, n) == Some(content(n.into(), length)));
                assert!(!volume.is_trashed(&id(n)));
            }
            drop(volume);
            let volume = open(&disk.restart(8));
            for n in 0..6 {
                assert!(read(&volume, id(n)).unwrap() == content(n.into(), length));
            }
        }
    }
}

#[test]
fn a_block_that_is_stored_again_is_not_in_the_trash_and_its_next_deletion_counts() {
    for length in LENGTHS {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk);
        block_on(async {
            for _ in 0..3 {
                put(&volume, id(1), &content(1, length)).await.unwrap();
                assert!(!volume.is_trashed(&id(1)));
                assert_eq!(volume.usage().unwrap().trash, 0);
                assert!(volume.delete(id(1)).await.unwrap());
            }
        });
        drop(volume);
        let volume = open(&disk.restart(1));
        assert!(is_gone(&volume, 1));
        assert!(restored(&volume, 1) == Some(content(1, length)));
    }
}

#[test]
fn old_blocks_are_removed_from_the_trash_and_their_space_is_freed() {
    for length in LENGTHS {
        let disk = SimDisk::new(1 << 30);
        let (env, clock) = clock();
        let volume = open_with(&disk, trash_options(), env.clone());
        block_on(async {
            put_all(&volume, 0..20, length).await;
            delete_all(&volume, 0..10).await;
            clock.advance(AGE / 2);
            delete_all(&volume, 10..20).await;
        });
        clock.advance(AGE / 2);
        volume.tidy_trash().unwrap();
        assert!((0..10).all(|n| !volume.is_trashed(&id(n))));
        while volume.compact().unwrap().is_some() {}
        // Compaction moved the younger blocks of the trash.
        drop(volume);
        disk.remove_file(&PathBuf::from("/data/checkpoint")).unwrap();
        let disk = disk.restart(1);
        let volume = open_with(&disk, trash_options(), env);
        assert!((0..20).all(|n| is_gone(&volume, n)));
        assert!(restored(&volume, 15) == Some(content(15, length)));
        block_on(volume.delete(id(15))).unwrap();
        clock.advance(AGE + Duration::from_millis(1));
        volume.tidy_trash().unwrap();
        while volume.compact().unwrap().is_some() {}
        assert_eq!(volume.usage().unwrap().trash, 0);
        assert!(disk.paths().iter().all(|path| !path.starts_with("/data/trash")) || length < 8192);
        assert!(volume.usage().unwrap().used < 4000, "{:?}", volume.usage());
    }
}

#[test]
fn the_trash_is_counted_as_free_and_no_write_fails_for_lack_of_space_while_it_can_be_emptied() {
    for length in LENGTHS {
        let disk = SimDisk::new(600_000);
        let options = VolumeOptions { reserve_bytes: 60_000, ..trash_options() };
        let volume = open_with(&disk, options, clock().0);
        block_on(async {
            let mut stored = 0;
            while put(&volume, id(stored), &content(stored.into(), length)).await.is_ok() {
                stored += 1;
            }
            delete_all(&volume, 0..stored).await;
            let usage = volume.usage().unwrap();
            assert!(usage.trash > 400_000 && usage.available > 400_000, "{usage:?}");
            // The same number of blocks fits again. Four fifths of them are written, so that compaction has space left.
            for n in 0..stored * 4 / 5 {
                let put = put(&volume, id(1000 + n), &content(n.into(), length)).await;
                assert!(put.is_ok(), "{n} of {stored}: {put:?}, {:?}", volume.usage());
            }
            assert!(!volume.is_trashed(&id(0)), "the oldest went first");
            for n in 0..stored * 4 / 5 {
                assert!(read(&volume, id(1000 + n)).unwrap() == content(n.into(), length));
            }
        });
        assert_eq!(volume.failure(), None);
    }
}

#[test]
fn a_quota_that_statvfs_does_not_show_empties_the_trash_too() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk);
    block_on(async {
        put_all(&volume, 0..4, 40_000).await;
        delete_all(&volume, 0..3).await;
        disk.set_quota(Some(disk.used() + 1000));
        put(&volume, id(10), &content(10, 40_000)).await.unwrap();
        assert!(read(&volume, id(10)).unwrap() == content(10, 40_000));
    });
    assert!(volume.is_trashed(&id(2)) && !volume.is_trashed(&id(0)));
}

#[test]
fn a_damaged_block_does_not_come_back() {
    for length in LENGTHS {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk);
        block_on(async {
            put(&volume, id(1), &content(1, length)).await.unwrap();
            volume.delete(id(1)).await.unwrap();
        });
        let in_place = |path: &&PathBuf| path.starts_with("/data/trash") || path.starts_with("/data/shared");
        let path = disk.paths().iter().find(in_place).unwrap().clone();
        disk.flip_bit(&path, length);
        assert_eq!(restored(&volume, 1), None);
        assert!(is_gone(&volume, 1));
        // A good replica can still be stored.
        block_on(put(&volume, id(1), &content(1, length))).unwrap();
        assert!(read(&volume, id(1)).unwrap() == content(1, length));
    }
}

/// A block in the trash is lost if its segment cannot be read, but it does not hold up the compaction of the segment.
#[test]
fn trash_that_cannot_be_read_does_not_hold_up_compaction() {
    let disk = SimDisk::new(1 << 30);
    let (env, clock) = clock();
    let volume = open_with(&disk, trash_options(), env);
    block_on(async {
        put_all(&volume, 0..12, 1500).await;
        delete_all(&volume, 1..9).await;
        clock.advance(AGE);
        volume.delete(id(9)).await.unwrap();
    });
    volume.tidy_trash().unwrap();
    disk.break_below("/data/shared/00000001.segment", FaultKind::Unreadable, 0);
    assert_eq!(volume.compact().unwrap().unwrap().damaged, [id(0)]);
    disk.heal();
    assert!(!volume.is_trashed(&id(9)) && is_gone(&volume, 9));
    assert!(read(&volume, id(11)).unwrap() == content(11, 1500));
}

#[test]
fn a_volume_of_the_format_without_a_trash_is_opened_and_becomes_one_with_a_trash() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/volume/fixtures/format1");
    copy(&fixture, directory.path());
    for _ in 0..2 {
        let lock = loop {
            match DirectoryLock::take(&RealDisk, directory.path()) {
                Err(crate::volume::OpenError::InUse(_)) => std::thread::yield_now(),
                lock => break lock.unwrap(),
            }
        };
        let identity = Identity::read(&RealDisk, directory.path()).unwrap().unwrap();
        let open =
            Volume::open(Arc::new(RealDisk), directory.path(), lock, &identity, trash_options(), clock().0);
        let volume = open.unwrap();
        let held = (0..50).chain([60, 70, 71]).filter(|n| ![1, 2, 3].contains(n));
        for n in held.clone() {
            let length = if [60, 71].contains(&n) { 9000 } else { 300 };
            assert!(read(&volume, id(n)).unwrap() == content(n.into(), length), "{n}");
        }
        assert_eq!(volume.len(), held.count() as u64);
        // Blocks that were deleted before there was a trash cannot be brought back.
        assert!([1, 2, 3, 61].iter().all(|n| is_gone(&volume, *n) && !volume.is_trashed(&id(*n))));
        block_on(volume.delete(id(60))).unwrap();
        assert!(restored(&volume, 60) == Some(content(60, 9000)));
        let text = std::fs::read_to_string(directory.path().join("identity.json")).unwrap();
        assert!(text.contains("\"format\": 2"), "{text}");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

//! The promises of compaction: it frees the space of dead records, loses no live or damaged one, and ends.

use std::path::PathBuf;

use super::support::{block_on, content, delete_all, id, open, put_all, read};
use crate::volume::disk::Disk;
use crate::volume::sim::{FaultKind, SimDisk};

#[test]
fn compaction_gives_the_space_of_dead_blocks_back_and_moves_only_living_ones() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        put_all(&volume, 0..40, 1500).await;
        for n in (0..40).filter(|n| n % 4 != 0) {
            assert!(volume.delete(id(n)).await.unwrap());
        }
    });
    let before = volume.usage().unwrap().used;
    let reader = volume.reader(id(0)).unwrap();
    let mut moved = 0;
    while let Some(done) = volume.compact().unwrap() {
        assert_eq!(done.damaged, []);
        moved += done.moved;
    }
    let after = volume.usage().unwrap().used;
    assert!(after * 2 < before, "{after} of {before} bytes are left");
    assert!((1..=20).contains(&moved), "{moved}");
    for n in (0..40).filter(|n| n % 4 == 0) {
        assert_eq!(read(&volume, id(n)).unwrap(), content(n.into(), 1500));
    }
    // A reader that was opened before the block was moved can still read it.
    assert_eq!(reader.read(0, 1500).unwrap(), content(0, 1500));
}

#[test]
fn a_volume_whose_blocks_are_all_deleted_gives_their_space_back() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        put_all(&volume, 0..10, 1000).await;
        delete_all(&volume, 0..10).await;
    });
    while volume.compact().unwrap().is_some() {}
    assert!(volume.usage().unwrap().used < 1000, "{:?}", volume.usage());
}

/// Tombstones must be kept as long as the segments of their targets exist, and a segment that has only tombstones is not worth
/// compacting.
#[test]
fn compaction_comes_to_an_end_when_only_tombstones_are_left_to_move() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        put_all(&volume, 0..345, 100).await;
        delete_all(&volume, (0..345).filter(|n| n % 4 == 0)).await;
    });
    let rounds = (0..20).take_while(|_| volume.compact().unwrap().is_some()).count();
    assert!(rounds < 20);
    disk.remove_file(&PathBuf::from("/data/checkpoint")).unwrap();
    drop(volume);
    let volume = open(&disk).unwrap();
    assert_eq!(volume.page(None, 1000).len(), 258);
}

#[test]
fn compaction_sets_a_damaged_block_aside_instead_of_losing_it() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        put_all(&volume, 0..12, 1500).await;
        delete_all(&volume, 1..10).await;
    });
    disk.flip_bit(&PathBuf::from("/data/shared/00000001.segment"), 64 + 64 + 4 + 100);
    let done = volume.compact().unwrap().unwrap();
    assert_eq!(done.damaged, [id(0)]);
    assert_eq!(volume.quarantined(), [id(0)]);
    assert_eq!(read(&volume, id(11)).unwrap(), content(11, 1500));
}

#[test]
fn a_segment_that_cannot_be_read_does_not_hold_up_compaction() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        put_all(&volume, 0..12, 1500).await;
        delete_all(&volume, 1..10).await;
    });
    disk.break_below("/data/shared/00000001.segment", FaultKind::Unreadable, 0);
    let done = volume.compact().unwrap().unwrap();
    assert_eq!(done.damaged, [id(0)]);
    assert!(done.freed_bytes > 0);
    assert_eq!(read(&volume, id(11)).unwrap(), content(11, 1500));
}

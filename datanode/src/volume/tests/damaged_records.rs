//! Damaged records while a volume is in use: they are found, moved into quarantine and kept, and they hide no record after
//! them.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::support::{block_on, content, id, open, open_real, put, put_all, read};
use crate::volume::disk::Disk;
use crate::volume::sim::SimDisk;
use crate::volume::{Volume, VolumeError, VolumeOptions};

#[test]
fn a_flipped_bit_is_found_when_read_and_the_block_can_be_set_aside_and_deleted() {
    for length in [3000usize, 40_000] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        block_on(put(&volume, id(1), &content(1, length))).unwrap();
        let path = disk
            .paths()
            .into_iter()
            .find(|path| path.starts_with("/data/own") || path.starts_with("/data/shared"))
            .unwrap();
        disk.flip_bit(&path, length);
        assert!(matches!(read(&volume, id(1)), Err(VolumeError::Damaged { .. })));
        assert!(volume.set_aside(id(1)).unwrap());
        let check = |volume: &Volume| {
            assert_eq!(volume.page(None, 10), []);
            assert_eq!(volume.quarantined(), [id(1)]);
            assert!(matches!(volume.reader(id(1)), Err(VolumeError::Damaged { .. })));
        };
        check(&volume);
        // The damaged bytes are kept, across restarts too.
        drop(volume);
        let disk = disk.restart(3);
        let volume = open(&disk).unwrap();
        check(&volume);
        // A good replica may be stored while the damaged one is in quarantine. A delete removes both.
        block_on(put(&volume, id(1), &content(1, length))).unwrap();
        assert_eq!(read(&volume, id(1)).unwrap(), content(1, length));
        assert!(block_on(volume.delete(id(1))).unwrap());
        assert_eq!(volume.quarantined(), []);
        assert!(matches!(volume.reader(id(1)), Err(VolumeError::NotFound(_))));
    }
}

#[test]
fn damage_in_the_middle_of_the_newest_segment_hides_nothing_behind_it() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(put_all(&volume, 0..5, 1000));
    drop(volume);
    // The offset is in the second record's header, after the segment's 64 bytes and a record of 64 + 4 + 1000 bytes, rounded up
    // to a multiple of 64.
    disk.flip_bit(&PathBuf::from("/data/shared/00000001.segment"), 64 + 1088 + 10);
    disk.remove_file(&PathBuf::from("/data/checkpoint")).unwrap();
    let volume = open(&disk).unwrap();
    for n in [0, 2, 3, 4] {
        assert_eq!(read(&volume, id(n)).unwrap(), content(n.into(), 1000));
    }
    assert!(volume.get(&id(1)).is_none());
}

/// A backup of a segment, stored as a block, has records in its contents. They must not be taken for real ones when the block's own
/// record is damaged.
#[test]
fn a_block_whose_contents_look_like_a_segment_is_never_taken_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let options = VolumeOptions { reserve_bytes: 0, trash_age: Duration::ZERO, ..VolumeOptions::default() };
    let open = || open_real(directory.path(), options.clone());
    let volume = open();
    block_on(put(&volume, id(1), &content(1, 1000))).unwrap();
    let segment = directory.path().join("shared/00000001.segment");
    let copy = Bytes::from(std::fs::read(&segment).unwrap());
    block_on(async {
        volume.delete(id(1)).await.unwrap();
        put(&volume, id(2), &copy).await.unwrap();
    });
    drop(volume);
    let mut bytes = std::fs::read(&segment).unwrap();
    let second = copy.len() + 64;
    bytes[second] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    std::fs::remove_file(directory.path().join("checkpoint")).unwrap();
    assert_eq!(open().page(None, 10), []);
}

#[test]
fn a_disk_with_many_bad_sectors_is_taken_out_before_it_dies() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    let counted = (0..100).take_while(|_| volume.count_unreadable().is_ok()).count();
    assert_eq!(counted, 15);
    assert!(volume.failure().unwrap().contains("16 blocks could not be read"));
}

//! A volume on a full disk and at a quota: it refuses blocks, keeps no half-written one, and stores blocks again when there is
//! space.

use cairn_protocol::checksum::crc32c;

use super::support::{block_on, content, id, open, open_with, options, put, read};
use crate::volume::sim::SimDisk;
use crate::volume::{VolumeError, VolumeOptions};

#[test]
fn a_full_disk_is_told_apart_from_a_broken_one_and_keeps_nothing_half_done() {
    for length in [3000, 40_000] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        block_on(async {
            put(&volume, id(1), &content(1, length)).await.unwrap();
            let before = volume.usage().unwrap().used;
            // The space was free when the write began, and another user of the disk took it.
            let bytes = content(2, length);
            let mut writer = volume.writer(id(2), length as u64, crc32c(&bytes)).await.unwrap();
            disk.set_capacity(disk.used() + 1000);
            let result = match writer.write(bytes).await {
                Ok(()) => writer.finish().await,
                Err(error) => Err(error),
            };
            assert!(matches!(result, Err(VolumeError::Full { .. })), "{result:?}");
            assert_eq!(volume.usage().unwrap().used, before);
            // A volume without space refuses at once; it still reads and deletes, and has not failed.
            let refused = volume.writer(id(3), length as u64, 0).await.unwrap_err();
            assert!(matches!(refused, VolumeError::Full { .. }), "{refused}");
            assert_eq!(read(&volume, id(1)).unwrap(), content(1, length));
            assert!(volume.delete(id(1)).await.unwrap());
            disk.set_capacity(1 << 30);
            put(&volume, id(2), &content(2, length)).await.unwrap();
            assert_eq!(read(&volume, id(2)).unwrap(), content(2, length));
        });
    }
}

#[test]
fn space_that_is_reserved_for_one_writer_is_not_given_to_another() {
    let disk = SimDisk::new(100_000);
    let volume = open(&disk).unwrap();
    block_on(async {
        let first = volume.writer(id(1), 60_000, 0).await.unwrap();
        let refused = volume.writer(id(2), 60_000, 0).await.unwrap_err();
        assert!(matches!(refused, VolumeError::Full { .. }), "{refused}");
        drop(first);
        volume.writer(id(2), 60_000, 0).await.unwrap();
    });
}

#[test]
fn a_full_disk_still_deletes_compacts_and_writes_checkpoints_and_takes_blocks_again() {
    let disk = SimDisk::new(400_000);
    let options = VolumeOptions { reserve_bytes: 60_000, ..options() };
    let volume = open_with(&disk, options).unwrap();
    let mut stored = 0;
    while block_on(put(&volume, id(stored), &content(stored.into(), 1500))).is_ok() {
        stored += 1;
    }
    let refused = block_on(put(&volume, id(stored), &content(0, 1500))).unwrap_err();
    assert!(matches!(refused, VolumeError::Full { .. }), "{refused}");
    assert_eq!((volume.usage().unwrap().available < 1600, volume.failure()), (true, None));
    volume.checkpoint().unwrap();
    volume.probe().unwrap();
    for n in (0..stored).filter(|n| n % 4 != 0) {
        assert!(block_on(volume.delete(id(n))).unwrap());
    }
    while volume.compact().unwrap().is_some() {}
    assert!(volume.usage().unwrap().available > 100_000, "{:?}", volume.usage());
    block_on(put(&volume, id(stored), &content(7, 1500))).unwrap();
    for n in (0..stored).filter(|n| n % 4 == 0) {
        assert_eq!(read(&volume, id(n)).unwrap(), content(n.into(), 1500));
    }
}

/// `statvfs` does not report a quota: there seems to be space, and writes fail nevertheless.
#[test]
fn a_quota_is_a_full_disk_until_there_is_space_again() {
    for length in [3000, 40_000] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        block_on(async {
            put(&volume, id(1), &content(1, length)).await.unwrap();
            disk.set_quota(Some(disk.used() + 1000));
            let refused = put(&volume, id(2), &content(2, length)).await.unwrap_err();
            assert!(matches!(refused, VolumeError::Full { .. }), "{refused}");
            // The volume no longer reports free space.
            assert_eq!(volume.usage().unwrap().available, 0);
            let refused = volume.writer(id(3), length as u64, 0).await.unwrap_err();
            assert!(matches!(refused, VolumeError::Full { .. }), "{refused}");
            assert_eq!(read(&volume, id(1)).unwrap(), content(1, length));
            volume.probe().unwrap();
            assert_eq!(volume.usage().unwrap().available, 0);
            disk.set_quota(None);
            volume.probe().unwrap();
            put(&volume, id(2), &content(2, length)).await.unwrap();
            assert_eq!(read(&volume, id(2)).unwrap(), content(2, length));
        });
    }
}

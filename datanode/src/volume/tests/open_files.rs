//! Files stay open for blocks that are read often, and nothing is read from a file that the index does not point into.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::checksum::CHUNK_SIZE;

use super::support::{block_on, content, delete_all, id, open, open_with, options, put, put_all};
use crate::volume::disk::Disk;
use crate::volume::sim::{FaultKind, SimDisk};
use crate::volume::{Damage, Volume, VolumeError, VolumeOptions};

/// The lengths of a block in a shared segment and of one in a dedicated segment.
const LENGTHS: [usize; 2] = [1500, 20_000];

/// Reads a block as the service does, and keeps its file open.
fn read_kept(volume: &Volume, n: u16) -> Result<Bytes, VolumeError> {
    let reader = volume.reader_kept_open(id(n))?;
    reader.read(0, reader.length())
}

fn from_memory(volume: &Volume, n: u16) -> Option<Bytes> {
    volume.read_from_memory(id(n), 0).map(|(_, bytes)| bytes)
}

fn open_files(volume: &Volume) -> usize {
    volume.state.open_files.len()
}

/// A volume with block 1, of which everything that is read is in memory.
fn with_a_block(length: usize, options: VolumeOptions) -> (SimDisk, Volume) {
    let disk = SimDisk::new(1 << 30);
    let volume = open_with(&disk, options).unwrap();
    block_on(put_all(&volume, [1], length));
    disk.set_in_memory(true);
    (disk, volume)
}

fn path_of(disk: &SimDisk, length: usize) -> PathBuf {
    let name = if length < 8 * 1024 { "00000001.segment".to_owned() } else { id(1).to_string() };
    disk.paths().into_iter().find(|path| path.to_str().unwrap().ends_with(&name)).unwrap()
}

#[test]
fn a_block_that_was_read_is_read_from_memory_without_opening_its_file_again() {
    for length in LENGTHS {
        let (disk, volume) = with_a_block(length, options());
        // Its file is not open, and opening it may need the disk.
        assert_eq!(from_memory(&volume, 1), None);
        assert!(read_kept(&volume, 1).unwrap() == content(1, length));
        let opens = disk.opens();
        assert!(from_memory(&volume, 1).unwrap() == content(1, length));
        assert!(read_kept(&volume, 1).unwrap() == content(1, length));
        assert_eq!(disk.opens(), opens);
        // Who wants to know whether the file is there opens it by its name.
        volume.reader(id(1)).unwrap();
        assert_eq!(disk.opens(), opens + 1);
    }
}

#[test]
fn chunks_from_memory_are_those_of_the_block() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    let whole = content(1, 200_000);
    block_on(put(&volume, id(1), &whole)).unwrap();
    read_kept(&volume, 1).unwrap();
    disk.set_in_memory(true);
    let chunk = |start: usize| whole.slice(start..(start + CHUNK_SIZE).min(whole.len()));
    for start in [0, 65_536, 131_072, 196_608] {
        let (reader, bytes) = volume.read_from_memory(id(1), start).unwrap();
        assert_eq!(reader.length(), 200_000);
        assert!(bytes == chunk(start as usize), "{start}");
        assert!(reader.chunk(start).unwrap() == bytes);
        assert!(reader.chunk_from_memory(131_072).unwrap() == chunk(131_072));
    }
    for beside in [1, 262_144, u64::MAX - 65_535] {
        assert!(volume.read_from_memory(id(1), beside).is_none(), "{beside}");
    }
}

#[test]
fn what_is_not_in_memory_is_left_to_a_read_that_may_wait_for_the_disk() {
    for length in LENGTHS {
        let (disk, volume) = with_a_block(length, options());
        read_kept(&volume, 1).unwrap();
        disk.set_in_memory(false);
        assert_eq!(from_memory(&volume, 1), None);
        assert!(read_kept(&volume, 1).unwrap() == content(1, length));
    }
}

#[test]
fn damage_is_noticed_in_an_open_file_too() {
    for length in LENGTHS {
        let (disk, volume) = with_a_block(length, options());
        read_kept(&volume, 1).unwrap();
        let path = path_of(&disk, length);
        disk.flip_bit(&path, disk.length(&path) - 100);
        assert_eq!(from_memory(&volume, 1), None);
        let error = read_kept(&volume, 1).unwrap_err();
        assert!(matches!(error, VolumeError::Damaged { damage: Damage::Wrong, .. }), "{error}");
        // A disk that cannot be read says so.
        disk.break_below("/data", FaultKind::Unreadable, 0);
        assert_eq!(from_memory(&volume, 1), None);
        let error = read_kept(&volume, 1).unwrap_err();
        assert!(matches!(error, VolumeError::Damaged { damage: Damage::Unreadable, .. }), "{error}");
    }
}

#[test]
fn a_deleted_block_is_not_read_and_its_file_does_not_stay_open() {
    for trash_age in [Duration::ZERO, Duration::from_secs(3600)] {
        for length in LENGTHS {
            let (_disk, volume) = with_a_block(length, VolumeOptions { trash_age, ..options() });
            read_kept(&volume, 1).unwrap();
            block_on(volume.delete(id(1))).unwrap();
            assert_eq!(from_memory(&volume, 1), None);
            assert!(matches!(read_kept(&volume, 1), Err(VolumeError::NotFound(_))));
            // A shared segment has other blocks, and stays.
            assert_eq!(open_files(&volume), usize::from(length == LENGTHS[0]));
        }
    }
}

#[test]
fn a_block_from_the_trash_is_read_again() {
    for length in LENGTHS {
        let trash_age = Duration::from_secs(3600);
        let (_disk, volume) = with_a_block(length, VolumeOptions { trash_age, ..options() });
        read_kept(&volume, 1).unwrap();
        block_on(volume.delete(id(1))).unwrap();
        // A restore waits for the log, so it needs a thread that may block.
        std::thread::scope(|scope| scope.spawn(|| volume.restore(id(1))).join().unwrap()).unwrap();
        assert!(read_kept(&volume, 1).unwrap() == content(1, length));
        assert!(from_memory(&volume, 1).unwrap() == content(1, length));
    }
}

#[test]
fn a_block_that_was_set_aside_is_not_read_and_its_file_does_not_stay_open() {
    for length in LENGTHS {
        let (_disk, volume) = with_a_block(length, options());
        read_kept(&volume, 1).unwrap();
        assert!(volume.set_aside(id(1)).unwrap());
        assert_eq!(from_memory(&volume, 1), None);
        assert!(matches!(read_kept(&volume, 1), Err(VolumeError::Damaged { .. })));
        assert_eq!(open_files(&volume), usize::from(length == LENGTHS[0]));
    }
}

#[test]
fn a_compacted_segment_does_not_stay_open_and_its_blocks_are_read_where_they_are_now() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(put_all(&volume, 0..12, 1500));
    disk.set_in_memory(true);
    read_kept(&volume, 0).unwrap();
    block_on(delete_all(&volume, 1..10));
    let place = volume.state.index().get(&id(0)).unwrap().place;
    assert!(volume.state.open_files.get(place).is_some());
    volume.compact().unwrap().unwrap();
    assert!(volume.state.open_files.get(place).is_none());
    assert_eq!(open_files(&volume), 0);
    assert!(read_kept(&volume, 0).unwrap() == content(0, 1500));
    assert!(from_memory(&volume, 0).unwrap() == content(0, 1500));
}

#[test]
fn a_segment_that_was_lost_does_not_stay_open() {
    let (disk, volume) = with_a_block(LENGTHS[0], options());
    read_kept(&volume, 1).unwrap();
    disk.remove_file(&path_of(&disk, LENGTHS[0])).unwrap();
    assert_eq!(volume.lose_missing_segments().unwrap(), [id(1)]);
    assert_eq!((from_memory(&volume, 1), open_files(&volume)), (None, 0));
}

#[test]
fn a_file_that_another_program_removed_is_missing_although_it_was_open() {
    for length in LENGTHS {
        let (disk, volume) = with_a_block(length, options());
        read_kept(&volume, 1).unwrap();
        disk.remove_file(&path_of(&disk, length)).unwrap();
        assert_eq!(from_memory(&volume, 1), None);
        let error = read_kept(&volume, 1).unwrap_err();
        assert!(matches!(error, VolumeError::Damaged { damage: Damage::Missing, .. }), "{error}");
        assert_eq!(open_files(&volume), 0);
    }
}

#[test]
fn a_file_that_another_program_replaced_is_read_as_it_is_now() {
    for length in LENGTHS {
        let (disk, volume) = with_a_block(length, options());
        read_kept(&volume, 1).unwrap();
        let path = path_of(&disk, length);
        disk.remove_file(&path).unwrap();
        disk.create_new(&path).unwrap().write_all_at(&vec![7; 30_000], 0).unwrap();
        assert_eq!(from_memory(&volume, 1), None);
        let error = read_kept(&volume, 1).unwrap_err();
        assert!(matches!(error, VolumeError::Damaged { damage: Damage::Wrong, .. }), "{error}");
    }
}

/// A file that was opened just before its block was deleted must not be kept just after: nobody would close it, and its space would
/// stay in use.
#[test]
fn a_file_whose_block_is_deleted_meanwhile_is_not_kept() {
    let (disk, volume) = with_a_block(LENGTHS[1], options());
    let file = disk.open(&path_of(&disk, LENGTHS[1])).unwrap();
    let entry = volume.state.index().get(&id(1)).unwrap();
    block_on(volume.delete(id(1))).unwrap();
    volume.state.open_files.keep(entry.place, &file, || volume.state.index().get(&id(1)) == Some(entry));
    assert_eq!(open_files(&volume), 0);
}

#[test]
fn few_files_stay_open_and_those_that_were_read_last() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(put_all(&volume, 0..300, LENGTHS[1]));
    disk.set_in_memory(true);
    (0..300).for_each(|n| drop(read_kept(&volume, n).unwrap()));
    assert_eq!(open_files(&volume), 256);
    assert_eq!(from_memory(&volume, 0), None);
    assert!(from_memory(&volume, 299).is_some());
}

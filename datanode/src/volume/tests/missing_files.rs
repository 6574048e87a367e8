//! Files that another program removed from a running volume cost the blocks in them, and not the volume.

use std::path::PathBuf;

use super::support::{block_on, content, id, open, put, put_all, read};
use crate::volume::disk::Disk;
use crate::volume::sim::SimDisk;
use crate::volume::{Damage, Volume, VolumeError};

#[test]
fn a_removed_segment_is_noticed_and_costs_its_blocks_only() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(put_all(&volume, 0..30, 1500));
    assert_eq!(volume.lose_missing_segments().unwrap(), []);
    // The second segment is sealed, and the last one is active.
    let segment = |number| PathBuf::from(format!("/data/shared/{number:08x}.segment"));
    let last = (1..).find(|number| disk.open(&segment(number + 1)).is_err()).unwrap();
    for number in [2, last] {
        disk.remove_file(&segment(number)).unwrap();
    }
    let lost = volume.lose_missing_segments().unwrap();
    assert!(!lost.is_empty() && lost.len() < 30, "{lost:?}");
    assert_eq!(volume.failure(), None);
    let check = |volume: &Volume| {
        for n in 0..30 {
            match read(volume, id(n)) {
                Ok(bytes) => assert_eq!(bytes, content(n.into(), 1500)),
                Err(error) => assert!(matches!(error, VolumeError::NotFound(_)), "{error}"),
            }
            assert_eq!(volume.get(&id(n)).is_none(), lost.contains(&id(n)), "{n}");
        }
    };
    check(&volume);
    block_on(put(&volume, id(50), &content(50, 1500))).unwrap();
    drop(volume);
    let volume = open(&disk.restart(5)).unwrap();
    check(&volume);
    assert_eq!(read(&volume, id(50)).unwrap(), content(50, 1500));
}

#[test]
fn a_removed_file_costs_its_block_and_not_the_volume() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        put(&volume, id(1), &content(1, 20_000)).await.unwrap();
        put(&volume, id(2), &content(2, 20_000)).await.unwrap();
    });
    let file = disk.paths().into_iter().find(|path| path.to_str().unwrap().ends_with(&id(1).to_string()));
    disk.remove_file(&file.unwrap()).unwrap();
    let missing = read(&volume, id(1)).unwrap_err();
    assert!(matches!(missing, VolumeError::Damaged { damage: Damage::Missing, .. }), "{missing}");
    assert!(volume.set_aside(id(1)).unwrap());
    assert_eq!((volume.failure(), volume.quarantined()), (None, vec![]));
    assert!(matches!(volume.reader(id(1)), Err(VolumeError::NotFound(_))));
    assert_eq!(read(&volume, id(2)).unwrap(), content(2, 20_000));
}

//! The promises of a node's volumes: the node continues when one of them fails, and a start distinguishes a missing or foreign
//! directory from a new one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{BlockId, ClusterId, NodeId, VolumeId};
use proptest::prelude::*;
use uuid::Uuid;

use super::support::{block_on, content, id, options, read};
use crate::volume::disk::Disk;
use crate::volume::identity::Identity;
use crate::volume::node_record::LastScrub;
use crate::volume::sim::{FaultKind, SimDisk};
use crate::volume::volumes::Volumes;
use crate::volume::{OpenError, Volume, VolumeError, VolumeOptions};

const KINDS: [FaultKind; 4] =
    [FaultKind::Dead, FaultKind::ReadOnly, FaultKind::Unreadable, FaultKind::Unmounted];

fn open_with(disk: &SimDisk, seed: u64, options: &VolumeOptions) -> Result<Volumes, OpenError> {
    let directories = ["/a", "/b"].map(PathBuf::from);
    let env = Env::manual(seed, Timestamp(1)).0;
    Volumes::open(Arc::new(disk.clone()), &directories, options, &env)
}

fn open(disk: &SimDisk, seed: u64) -> Result<Volumes, OpenError> {
    open_with(disk, seed, &options())
}

fn refusal(disk: &SimDisk) -> OpenError {
    open(disk, 1).err().unwrap()
}

fn length(n: u16) -> usize {
    if n.is_multiple_of(3) { 20_000 } else { 700 }
}

fn bytes(n: u16) -> Bytes {
    content(n.into(), length(n))
}

async fn write(volume: &Volume, n: u16) -> Result<(), VolumeError> {
    let bytes = bytes(n);
    let mut writer = volume.writer(id(n), bytes.len() as u64, crc32c(&bytes)).await?;
    writer.write(bytes).await?;
    writer.finish().await
}

/// Stores a block on the first volume that takes it.
async fn store(set: &Volumes, n: u16) -> bool {
    for volume in set.in_order_for_writing() {
        if write(&volume, n).await.is_ok() {
            return true;
        }
    }
    false
}

/// All blocks that the node reports, each with the bytes that it reads.
fn held(set: &Volumes) -> BTreeMap<BlockId, Bytes> {
    let page = set.page(None, usize::MAX);
    page.into_iter().map(|(id, _)| (id, read(&set.find(&id).unwrap().0, id).unwrap())).collect()
}

fn volume(set: &Volumes, at: usize) -> Arc<Volume> {
    set.volumes().nth(at).unwrap().clone()
}

/// Two volumes with blocks on both.
fn with_blocks(disk: &SimDisk) -> Volumes {
    let set = open(disk, 1).unwrap();
    for n in 0..30 {
        assert!(block_on(store(&set, n)));
    }
    assert!(set.volumes().all(|volume| volume.len() > 0));
    set
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_disk_that_breaks_at_any_operation_is_taken_out_and_the_other_serves_on(
        kind in 0usize..4, at in 1u64..400, seed in any::<u64>(),
    ) {
        let disk = SimDisk::new(1 << 30);
        let set = with_blocks(&disk);
        let mut acknowledged: Vec<u16> = (0..30).collect();
        disk.break_below("/b", KINDS[kind], at);
        block_on(async {
            for n in 30..60 {
                if store(&set, n).await {
                    acknowledged.push(n);
                }
                if n % 5 == 0 {
                    let gone = n - 25;
                    if set.delete(id(gone)).await.is_ok() {
                        acknowledged.retain(|n| *n != gone);
                    }
                }
            }
        });
        for volume in set.volumes() {
            let _ = volume.compact();
            let _ = volume.checkpoint();
        }
        // At the latest, the probe notices that the disk has failed.
        disk.break_below("/b", KINDS[kind], 0);
        volume(&set, 0).probe().unwrap();
        prop_assert!(volume(&set, 1).probe().is_err());
        let usage = set.usage();
        prop_assert!(usage[0].failed.is_none() && usage[1].failed.is_some());
        prop_assert_eq!((usage[1].capacity, usage[1].used, usage[1].free), (0, 0, 0));
        // Every block that the node reports reads back, and those on the good disk are among them.
        let here = held(&set);
        for n in &acknowledged {
            match here.get(&id(*n)) {
                Some(found) => prop_assert_eq!(found, &bytes(*n)),
                None => prop_assert!(volume(&set, 0).get(&id(*n)).is_none(), "{}", n),
            }
        }
        for n in 100..105 {
            prop_assert!(block_on(store(&set, n)));
            acknowledged.push(n);
        }
        drop(set);
        // When the disk works again, it has all acknowledged blocks.
        disk.heal();
        let set = open(&disk.restart(seed), 2).unwrap();
        let here = held(&set);
        for n in acknowledged {
            prop_assert_eq!(here.get(&id(n)), Some(&bytes(n)), "{}", n);
        }
    }
}

#[test]
fn a_disk_that_is_broken_at_the_start_is_reported_as_failed_and_works_after_the_next_start() {
    for kind in KINDS {
        let disk = SimDisk::new(1 << 30);
        let set = with_blocks(&disk);
        let (node, bad) = (set.node(), volume(&set, 1).id());
        let on_bad: Vec<BlockId> = volume(&set, 1).page(None, 100).into_iter().map(|(id, _)| id).collect();
        set.close();
        drop(set);
        disk.break_below("/b", kind, 0);
        let set = open(&disk, 2).unwrap();
        assert_eq!((set.node(), set.left_out()[0].volume), (node, bad), "{kind:?}");
        let usage = set.usage();
        assert_eq!((usage.len(), usage[1].volume, usage[1].capacity), (2, bad, 0));
        assert!(usage[1].failed.as_ref().unwrap().contains("/b"), "{usage:?}");
        let here = held(&set);
        assert!(on_bad.iter().all(|id| !here.contains_key(id)) && here.len() + on_bad.len() == 30);
        set.close();
        drop(set);
        disk.heal();
        let set = open(&disk, 3).unwrap();
        assert!(set.left_out().is_empty());
        assert_eq!(volume(&set, 1).id(), bad);
        assert_eq!(held(&set).len(), 30);
    }
}

#[test]
fn an_empty_directory_in_place_of_a_volume_is_left_out_unless_a_new_disk_is_mounted_there() {
    let disk = SimDisk::new(1 << 30);
    let set = with_blocks(&disk);
    let bad = volume(&set, 1).id();
    set.close();
    drop(set);
    for path in disk.paths().into_iter().filter(|path| path.starts_with("/b")) {
        disk.remove_file(&path).unwrap();
    }
    let set = open(&disk, 2).unwrap();
    assert!(set.left_out()[0].reason.contains("is its disk mounted?"), "{:?}", set.left_out());
    assert!(disk.paths().iter().all(|path| !path.starts_with("/b")), "{:?}", disk.paths());
    set.close();
    drop(set);
    disk.mount("/b");
    let set = open(&disk, 3).unwrap();
    assert!(set.left_out().is_empty());
    assert_ne!(volume(&set, 1).id(), bad);
    assert_eq!(set.usage().len(), 2);
}

#[test]
fn a_directory_of_another_node_or_cluster_or_format_or_a_copy_keeps_the_node_from_starting() {
    let identity = |node, volume, cluster| {
        let cluster = Some(ClusterId(Uuid::from_u128(cluster)));
        Identity::new(NodeId(Uuid::from_u128(node)), VolumeId(Uuid::from_u128(volume)), cluster)
    };
    let refused = |second: Identity| {
        let disk = SimDisk::new(1 << 30);
        for (directory, identity) in [("/a", identity(1, 2, 3)), ("/b", second)] {
            let directory = PathBuf::from(directory);
            disk.create_dir(&directory).unwrap();
            identity.write(&disk, &directory).unwrap();
        }
        refusal(&disk)
    };
    assert!(matches!(refused(identity(9, 8, 3)), OpenError::OtherNode { .. }));
    assert!(matches!(refused(identity(1, 8, 9)), OpenError::OtherCluster { .. }));
    let copied = refused(identity(1, 2, 3));
    assert!(copied.to_string().contains("/b is a copy of /a"), "{copied}");

    let disk = SimDisk::new(1 << 30);
    drop(open(&disk, 1).unwrap());
    replace(&disk, "/b/identity.json", b"{\"format\": 9, \"news\": true}");
    let newer = refusal(&disk);
    assert!(newer.to_string().contains("its format is 9"), "{newer}");
}

fn replace(disk: &SimDisk, path: &str, bytes: &[u8]) {
    let path = PathBuf::from(path);
    disk.remove_file(&path).unwrap();
    disk.create_new(&path).unwrap().write_all_at(bytes, 0).unwrap();
}

#[test]
fn a_damaged_identity_is_left_out_among_others_and_refused_alone() {
    let disk = SimDisk::new(1 << 30);
    drop(open(&disk, 1).unwrap());
    let damage = |directory| {
        for name in ["identity", "identity-copy"] {
            replace(&disk, &format!("{directory}/{name}.json"), b"\0\0\0");
        }
    };
    damage("/b");
    let set = open(&disk, 2).unwrap();
    assert!(set.left_out()[0].reason.contains("cannot be understood"), "{:?}", set.left_out());
    drop(set);
    damage("/a");
    assert!(matches!(refusal(&disk), OpenError::BadIdentity { .. }));
}

/// One bad sector under the identity file once cost the whole volume, and a node with one disk could not start any more.
#[test]
fn one_bad_sector_under_the_identity_costs_nothing_and_is_mended_by_the_start() {
    let damages: [fn(&SimDisk, &Path); 3] = [
        |disk, path| disk.break_sector(path, 0),
        |disk, path| disk.scramble_sector(path, 0, 7),
        |disk, path| disk.remove_file(path).unwrap(),
    ];
    for damage in damages {
        let disk = SimDisk::new(1 << 30);
        let set = with_blocks(&disk);
        let (who, blocks) = (set.node(), held(&set));
        drop(set);
        // The start repairs the damaged file, so that the next damage may hit the other one.
        for name in ["identity.json", "identity-copy.json", "identity.json"] {
            for directory in ["/a", "/b"] {
                damage(&disk, &Path::new(directory).join(name));
            }
            let set = open(&disk, 2).unwrap();
            assert_eq!((set.node(), set.left_out().len()), (who, 0), "{name}");
            assert_eq!(held(&set), blocks, "{name}");
        }
    }
}

/// A volume that an earlier version wrote has no copy of its identity, and its disk may be full.
#[test]
fn a_full_disk_without_a_copy_of_its_identity_opens() {
    let disk = SimDisk::new(1 << 30);
    let set = with_blocks(&disk);
    let blocks = held(&set);
    drop(set);
    for directory in ["/a", "/b"] {
        disk.remove_file(&Path::new(directory).join("identity-copy.json")).unwrap();
    }
    disk.set_capacity(disk.used());
    let set = open(&disk, 2).unwrap();
    assert_eq!(held(&set), blocks);
    drop(set);
    disk.set_capacity(1 << 30);
    drop(open(&disk, 3).unwrap());
    assert!(disk.paths().contains(&PathBuf::from("/a/identity-copy.json")));
}

/// With a new id it would be a second node with the blocks of the first one.
#[test]
fn a_node_that_cannot_read_its_identity_does_not_take_a_new_id() {
    let disk = SimDisk::new(1 << 30);
    drop(open(&disk, 1).unwrap());
    for path in disk.paths().into_iter().filter(|path| path.starts_with("/b")) {
        disk.remove_file(&path).unwrap();
    }
    disk.break_below("/a", FaultKind::Dead, 0);
    assert!(matches!(refusal(&disk), OpenError::Io { .. }));
}

/// The replica on the failed volume cannot be deleted. A start that finds it again reports it.
#[test]
fn a_block_on_a_failed_volume_does_not_hold_up_its_deletion() {
    let disk = SimDisk::new(1 << 30);
    let set = with_blocks(&disk);
    let bad = volume(&set, 1);
    let (block, _) = bad.page(None, 1)[0];
    bad.give_up("for the test");
    assert!(block_on(set.delete(block)).unwrap());
    assert!(set.find(&block).is_none());
    drop((set, bad));
    assert!(open(&disk, 2).unwrap().find(&block).is_some());
}

#[test]
fn new_blocks_go_where_there_is_space() {
    let disk = SimDisk::new(1 << 30);
    let options = VolumeOptions { capacity_bytes_max: Some(1_000_000), ..options() };
    let set = open_with(&disk, 1, &options).unwrap();
    // The first volume has a tenth of its space left.
    block_on(async {
        for n in (0..111).step_by(3) {
            write(&volume(&set, 0), n).await.unwrap();
        }
    });
    let first = |_| set.in_order_for_writing()[0].id();
    let to_empty = (0..1000).map(first).filter(|chosen| *chosen == volume(&set, 1).id()).count();
    // Some ten of eleven blocks go to the emptier volume, and both are in use.
    assert!((850..970).contains(&to_empty), "{to_empty}");
}

#[test]
fn a_finished_round_of_scrubbing_is_remembered_as_long_as_one_volume_is_there() {
    let disk = SimDisk::new(1 << 30);
    let set = with_blocks(&disk);
    let scrubbed = LastScrub { round: 7, at: Some(Timestamp(8)) };
    volume(&set, 0).give_up("for the test");
    set.set_last_scrub(scrubbed);
    drop(set);
    let disk = disk.restart(1);
    assert_eq!(open(&disk, 2).unwrap().last_scrub(), scrubbed);
    disk.break_below("/b", FaultKind::Dead, 0);
    assert_eq!(open(&disk, 3).unwrap().last_scrub(), scrubbed);
}

/// All blocks of a volume that is left out are copied again from other nodes. A lack of file descriptors must not cause that.
#[test]
fn a_lack_of_file_descriptors_ends_the_start_and_leaves_no_volume_out() {
    const EMFILE: i32 = 24;
    let disk = SimDisk::new(1 << 30);
    drop(with_blocks(&disk));
    for left in [0, 1, 5, 9, 14, 20, 30] {
        disk.set_shortage_after(left, Some(EMFILE));
        match open(&disk, 2) {
            Ok(set) => assert!(set.left_out().is_empty(), "{left}: {:?}", set.left_out()),
            Err(error) => assert!(error.to_string().contains("os error 24"), "{left}: {error}"),
        }
        disk.set_shortage(None);
    }
    let set = open(&disk, 3).unwrap();
    assert!(set.left_out().is_empty());
    assert_eq!(held(&set).len(), 30);
}

/// The volume of a disk that hung failed after two minutes. But every heartbeat still called the disk for its free space, and the
/// node hung with it.
#[test]
fn a_failed_volume_counts_as_full_without_a_call_to_its_disk() {
    let disk = SimDisk::new(1 << 30);
    let set = open(&disk, 1).unwrap();
    volume(&set, 0).give_up("for the test");
    let before = disk.operations();
    let usage = set.usage();
    assert_eq!(disk.operations() - before, 1);
    assert_eq!((usage[0].capacity, usage[1].capacity > 0), (0, true));
    assert_eq!([&usage[0].failed, &usage[1].failed].map(Option::is_some), [true, false]);
}

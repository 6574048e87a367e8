//! What a volume promises, whatever happens to its power, its space and its disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{BlockId, NodeId, VolumeId};
use futures_util::future::join_all;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::disk::{Disk, RealDisk};
use super::identity::{DirectoryLock, Identity};
use super::sim::{FaultKind, SimDisk};
use super::{BlockWriter, Damage, Volume, VolumeError, VolumeOptions};

/// Everything small, so that few operations touch every path.
pub(super) fn options() -> VolumeOptions {
    VolumeOptions {
        capacity_bytes_max: None,
        reserve_bytes: 0,
        dedicated_segment_bytes_min: 8 * 1024,
        segment_bytes_max: 16 * 1024,
        checkpoint_bytes: 64 * 1024,
        trash_age: Duration::ZERO,
    }
}

fn options_with_trash(has_trash: bool) -> VolumeOptions {
    let trash_age = Duration::from_secs(if has_trash { 3600 } else { 0 });
    VolumeOptions { trash_age, ..options() }
}

pub(super) fn env() -> Env {
    Env::manual(1, Timestamp(1_000_000)).0
}

pub(super) fn identity() -> Identity {
    Identity::new(NodeId(Uuid::from_u128(1)), VolumeId(Uuid::from_u128(2)), None)
}

pub(super) fn open(disk: &SimDisk) -> Result<Volume, super::OpenError> {
    open_with(disk, options())
}

pub(super) fn open_with(disk: &SimDisk, options: VolumeOptions) -> Result<Volume, super::OpenError> {
    open_in(disk, options, env())
}

pub(super) fn open_in(disk: &SimDisk, options: VolumeOptions, env: Env) -> Result<Volume, super::OpenError> {
    let directory = PathBuf::from("/data");
    disk.create_dir(&directory)
        .and_then(|()| disk.sync_dir(&PathBuf::from("/")))
        .map_err(super::identity::io("create", &directory))?;
    let lock = DirectoryLock::take(disk, &directory)?;
    identity().write(disk, &directory)?;
    Volume::open(Arc::new(disk.clone()), &directory, lock, &identity(), options, env)
}

fn open_real(directory: &Path, options: VolumeOptions) -> Volume {
    // The log's thread of a volume that was dropped may still hold the lock for a moment.
    let lock = loop {
        match DirectoryLock::take(&RealDisk, directory) {
            Err(super::OpenError::InUse(_)) => std::thread::yield_now(),
            lock => break lock.unwrap(),
        }
    };
    Volume::open(Arc::new(RealDisk), directory, lock, &identity(), options, env()).unwrap()
}

pub(crate) fn id(n: u16) -> BlockId {
    BlockId(Uuid::from_u128(u128::from(n) + 1))
}

pub(super) fn content(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

pub(super) async fn put(volume: &Volume, id: BlockId, bytes: &Bytes) -> Result<(), VolumeError> {
    let mut writer = volume.writer(id, bytes.len() as u64, crc32c(bytes)).await?;
    for piece in bytes.chunks(5000) {
        writer.write(Bytes::copy_from_slice(piece)).await?;
    }
    writer.finish().await
}

pub(super) fn read(volume: &Volume, id: BlockId) -> Result<Bytes, VolumeError> {
    let reader = volume.reader(id)?;
    reader.read(0, reader.length())
}

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Several at once, so that they share a batch. (block, content, length)
    Put(Vec<(u16, u64, usize)>),
    Delete(Vec<u16>),
    /// Brings back what is in the trash.
    Restore(Vec<u16>),
    Compact,
    /// Deletes while all segments are compacted.
    CompactAndDelete(Vec<u16>),
    Checkpoint,
    LoseCheckpoint,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let length = prop_oneof![3 => 1usize..3000, 1 => 8192usize..80_000];
    prop_oneof![
        8 => proptest::collection::vec((0u16..40, any::<u64>(), length), 1..6).prop_map(Op::Put),
        4 => proptest::collection::vec(0u16..40, 1..6).prop_map(Op::Delete),
        2 => proptest::collection::vec(0u16..40, 1..6).prop_map(Op::Restore),
        2 => Just(Op::Compact),
        2 => proptest::collection::vec(0u16..40, 1..6).prop_map(Op::CompactAndDelete),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::LoseCheckpoint),
    ]
}

/// What a block may be: absent, or one of these contents.
#[derive(Debug, Default)]
pub(super) struct Model(BTreeMap<BlockId, Vec<Option<Bytes>>>, Trash);

/// What can be brought back of a block whose deletion was acknowledged.
#[derive(Debug, Default)]
struct Trash {
    is_used: bool,
    blocks: BTreeMap<BlockId, Bytes>,
}

impl Model {
    fn certainly(&self, id: &BlockId) -> Option<&Option<Bytes>> {
        match self.0.get(id).map(Vec::as_slice) {
            None => Some(&None),
            Some([one]) => Some(one),
            Some(_) => None,
        }
    }

    pub(super) fn check(&mut self, volume: &Volume) {
        let found: Vec<BlockId> = volume.page(None, usize::MAX).into_iter().map(|(id, _)| id).collect();
        for id in &found {
            assert!(self.0.contains_key(id), "{id} was never written");
        }
        for (id, possible) in &mut self.0 {
            let actual = match read(volume, *id) {
                Ok(bytes) => Some(bytes),
                Err(VolumeError::NotFound(_)) => None,
                // Only what was never acknowledged may be found torn.
                Err(VolumeError::Damaged { .. }) if possible.contains(&None) && possible.len() > 1 => None,
                Err(_) if volume.is_quarantined(id) && *possible == [None] => None,
                Err(error) => panic!("{id}: {error}"),
            };
            assert!(
                possible.contains(&actual),
                "{id} is {:?}, may be {:?}",
                actual.map(|b| b.len()),
                possible.iter().map(|p| p.as_ref().map(|b| b.len())).collect::<Vec<_>>()
            );
            *possible = vec![actual];
        }
        for (id, bytes) in std::mem::take(&mut self.1.blocks) {
            if self.0.get(&id).is_some_and(|possible| *possible == [None]) {
                assert!(volume.restore(id).unwrap().is_some(), "{id} is not in the trash");
                assert!(read(volume, id).unwrap() == bytes, "{id} came back as something else");
                self.0.insert(id, vec![Some(bytes)]);
            }
        }
    }

    pub(super) async fn run(&mut self, volume: &Arc<Volume>, disk: &SimDisk, op: &Op) {
        match op {
            Op::Put(blocks) => {
                let mut fresh: BTreeMap<BlockId, Bytes> = BTreeMap::new();
                for (n, seed, length) in blocks {
                    // Blocks are immutable: only what is not there is written.
                    if self.certainly(&id(*n)) == Some(&None) {
                        fresh.insert(id(*n), content(*seed, *length));
                    }
                }
                let puts = fresh.iter().map(|(id, bytes)| put(volume, *id, bytes));
                let results = join_all(puts).await;
                for ((id, bytes), result) in fresh.into_iter().zip(results) {
                    let after = if result.is_ok() { vec![Some(bytes)] } else { vec![None, Some(bytes)] };
                    self.0.insert(id, after);
                    self.1.blocks.remove(&id);
                }
            }
            Op::Restore(blocks) => {
                for n in blocks {
                    let (at, id) = (volume.clone(), id(*n));
                    let was = self.certainly(&id).cloned();
                    match tokio::task::spawn_blocking(move || at.restore(id)).await.unwrap() {
                        Ok(Some(_)) if was == Some(None) => {
                            // A deletion that nobody acknowledged may have come to pass all the same.
                            let back = read(volume, id).ok();
                            let known = self.1.blocks.remove(&id);
                            assert!(known.is_none() || back.is_none() || known == back, "{id}");
                            self.0.insert(id, vec![known.or(back)]);
                        }
                        // Without power nothing can be read; it stays there.
                        Ok(None) => {
                            assert!(!self.1.blocks.contains_key(&id) || volume.is_trashed(&id), "{id}")
                        }
                        // What became of it shows after the restart.
                        Ok(Some(_)) | Err(_) => {
                            if let Some(bytes) = self.1.blocks.remove(&id) {
                                self.0.entry(id).or_default().push(Some(bytes));
                            }
                        }
                    }
                }
            }
            Op::Delete(blocks) => self.delete(volume, blocks).await,
            Op::CompactAndDelete(blocks) => {
                let at = volume.clone();
                let compact =
                    tokio::task::spawn_blocking(move || while matches!(at.compact(), Ok(Some(_))) {});
                let ((), compacted) = tokio::join!(self.delete(volume, blocks), compact);
                compacted.unwrap();
            }
            Op::Compact => {
                let volume = volume.clone();
                let _ = tokio::task::spawn_blocking(move || volume.compact()).await.unwrap();
            }
            Op::Checkpoint => {
                let _ = volume.checkpoint();
            }
            Op::LoseCheckpoint => {
                let _ = disk.remove_file(&PathBuf::from("/data/checkpoint"));
            }
        }
    }

    async fn delete(&mut self, volume: &Volume, blocks: &[u16]) {
        let results = join_all(blocks.iter().map(|n| volume.delete(id(*n)))).await;
        for (n, result) in blocks.iter().zip(results) {
            let possible = self.0.entry(id(*n)).or_insert_with(|| vec![None]);
            match result {
                Ok(_) => {
                    if let ([Some(bytes)], true) = (possible.as_slice(), self.1.is_used) {
                        self.1.blocks.insert(id(*n), bytes.clone());
                    } else if *possible != [None] {
                        self.1.blocks.remove(&id(*n));
                    }
                    *possible = vec![None];
                }
                Err(_) => possible.push(None),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn after_a_loss_of_power_every_acknowledged_block_reads_back_and_no_half_one_shows_up(
        rounds in proptest::collection::vec(
            (proptest::collection::vec(op(), 1..30), 1u64..400, any::<u64>()),
            1..4,
        ),
        has_trash in any::<bool>(),
    ) {
        let mut disk = SimDisk::new(1 << 30);
        let mut model = Model::default();
        model.1.is_used = has_trash;
        // Each deletion has its time, over restarts too.
        let (env, clock) = Env::manual(1, Timestamp(1_000_000));
        let open = |disk: &SimDisk| open_in(disk, options_with_trash(has_trash), env.clone());
        for (ops, power_fails_after, seed) in rounds {
            disk.fail_power_after(power_fails_after);
            // The power may fail while the volume recovers.
            if let Ok(volume) = open(&disk).map(Arc::new) {
                block_on(async {
                    for op in &ops {
                        clock.advance(Duration::from_millis(1));
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
    }

    #[test]
    fn the_index_after_a_restart_is_the_one_before(
        ops in proptest::collection::vec(op(), 1..40),
        has_trash in any::<bool>(),
    ) {
        let disk = SimDisk::new(1 << 30);
        let mut model = Model::default();
        model.1.is_used = has_trash;
        // Each deletion has its time, over restarts too.
        let (env, clock) = Env::manual(1, Timestamp(1_000_000));
        let open = |disk: &SimDisk| open_in(disk, options_with_trash(has_trash), env.clone());
        let volume = Arc::new(open(&disk).unwrap());
        block_on(async {
            for op in &ops {
                clock.advance(Duration::from_millis(1));
                model.run(&volume, &disk, op).await;
            }
        });
        let page = volume.page(None, usize::MAX);
        let bytes = |volume: &Volume| (volume.state.index().used(), volume.state.index().trash_bytes());
        let before = bytes(&volume);
        // Without a close: the process dies, the machine does not.
        drop(volume);
        let volume = open(&disk).unwrap();
        prop_assert_eq!(volume.page(None, usize::MAX), page);
        prop_assert_eq!(bytes(&volume), before);
        model.check(&volume);
    }
}

#[test]
fn a_failed_sync_takes_the_volume_out_and_a_restart_finds_only_what_was_acknowledged() {
    for length in [500, 20_000] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        block_on(async {
            put(&volume, id(1), &content(1, length)).await.unwrap();
            disk.break_syncs();
            let failed = put(&volume, id(2), &content(2, length)).await.unwrap_err();
            assert!(matches!(failed, VolumeError::Failed(_)), "{failed}");
            assert!(volume.failure().is_some());
            // What was durable before is still read, for it may be the last copy.
            assert_eq!(read(&volume, id(1)).unwrap(), content(1, length));
            assert!(matches!(read(&volume, id(2)), Err(VolumeError::NotFound(_))));
            let failed = put(&volume, id(3), &content(3, length)).await.unwrap_err();
            assert!(matches!(failed, VolumeError::Failed(_)), "{failed}");
        });
        let disk = disk.restart(1);
        let volume = open(&disk).unwrap();
        assert_eq!(volume.page(None, 10).len(), 1);
        assert_eq!(read(&volume, id(1)).unwrap(), content(1, length));
    }
}

#[test]
fn a_full_disk_is_told_apart_from_a_broken_one_and_keeps_nothing_half_done() {
    for length in [3000, 40_000] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        block_on(async {
            put(&volume, id(1), &content(1, length)).await.unwrap();
            let before = volume.usage().unwrap().used;
            // The space was there when the write began, and somebody else took it.
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
fn space_promised_to_one_writer_is_not_promised_to_another() {
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
fn wrong_bytes_are_refused_and_leave_nothing() {
    for length in [3000usize, 40_000] {
        let disk = SimDisk::new(1 << 30);
        let volume = open(&disk).unwrap();
        let bytes = content(1, length);
        block_on(async {
            let mut writer = volume.writer(id(1), length as u64, 7).await.unwrap();
            writer.write(bytes.clone()).await.unwrap();
            let error = writer.finish().await.unwrap_err();
            assert!(matches!(error, VolumeError::WrongChecksum { expected: 7, .. }), "{error}");

            let mut writer = volume.writer(id(1), length as u64, crc32c(&bytes)).await.unwrap();
            writer.write(bytes.slice(1..)).await.unwrap();
            let error = writer.finish().await.unwrap_err();
            assert!(matches!(error, VolumeError::WrongLength { .. }), "{error}");

            let mut writer = volume.writer(id(1), length as u64, crc32c(&bytes)).await.unwrap();
            writer.write(bytes.clone()).await.unwrap();
            let error = writer.write(Bytes::from_static(b"x")).await.unwrap_err();
            assert!(matches!(error, VolumeError::WrongLength { .. }), "{error}");
            drop(writer);
            // What was begun is removed in the background.
            while disk.paths().iter().any(|path| path.starts_with("/data/own")) {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(volume.page(None, 10), []);
    }
}

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
        // A good copy may come while the bad one is in quarantine; a delete removes both.
        block_on(put(&volume, id(1), &content(1, length))).unwrap();
        assert_eq!(read(&volume, id(1)).unwrap(), content(1, length));
        assert!(block_on(volume.delete(id(1))).unwrap());
        assert_eq!(volume.quarantined(), []);
        assert!(matches!(volume.reader(id(1)), Err(VolumeError::NotFound(_))));
    }
}

#[test]
fn compaction_gives_the_space_of_dead_blocks_back_and_moves_only_living_ones() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        for n in 0..40 {
            put(&volume, id(n), &content(n.into(), 1500)).await.unwrap();
        }
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
    // Who reads while a block is moved reads on.
    assert_eq!(reader.read(0, 1500).unwrap(), content(0, 1500));
}

#[test]
fn a_volume_whose_blocks_are_all_deleted_gives_their_space_back() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        for n in 0..10 {
            put(&volume, id(n), &content(n.into(), 1000)).await.unwrap();
        }
        for n in 0..10 {
            volume.delete(id(n)).await.unwrap();
        }
    });
    while volume.compact().unwrap().is_some() {}
    assert!(volume.usage().unwrap().used < 1000, "{:?}", volume.usage());
}

/// Tombstones must stay as long as the segments of their targets, and a segment of nothing else is not worth rewriting.
#[test]
fn compaction_comes_to_an_end_when_only_tombstones_are_left_to_move() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        for n in 0..345 {
            put(&volume, id(n), &content(n.into(), 100)).await.unwrap();
        }
        for n in (0..345).filter(|n| n % 4 == 0) {
            volume.delete(id(n)).await.unwrap();
        }
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
        for n in 0..12 {
            put(&volume, id(n), &content(n.into(), 1500)).await.unwrap();
        }
        for n in 1..10 {
            volume.delete(id(n)).await.unwrap();
        }
    });
    disk.flip_bit(&PathBuf::from("/data/shared/00000001.segment"), 64 + 64 + 4 + 100);
    let done = volume.compact().unwrap().unwrap();
    assert_eq!(done.damaged, [id(0)]);
    assert_eq!(volume.quarantined(), [id(0)]);
    assert_eq!(read(&volume, id(11)).unwrap(), content(11, 1500));
}

#[test]
fn damage_in_the_middle_of_the_newest_segment_hides_nothing_behind_it() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        for n in 0..5 {
            put(&volume, id(n), &content(n.into(), 1000)).await.unwrap();
        }
    });
    drop(volume);
    // The second record's header: 64 of the segment, and 64 + 4 + 1000 rounded up to 64s.
    disk.flip_bit(&PathBuf::from("/data/shared/00000001.segment"), 64 + 1088 + 10);
    disk.remove_file(&PathBuf::from("/data/checkpoint")).unwrap();
    let volume = open(&disk).unwrap();
    for n in [0, 2, 3, 4] {
        assert_eq!(read(&volume, id(n)).unwrap(), content(n.into(), 1000));
    }
    assert!(volume.get(&id(1)).is_none());
}

/// A copy of a segment, stored as a block, must not come to life when its own record is damaged.
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
fn a_torn_tail_on_a_real_disk_is_cut_off_and_the_volume_goes_on_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let open = || open_real(directory.path(), options());
    let volume = open();
    block_on(async {
        put(&volume, id(1), &content(1, 1000)).await.unwrap();
        put(&volume, id(2), &content(2, 50_000)).await.unwrap();
    });
    drop(volume);
    let segment = directory.path().join("shared/00000001.segment");
    let mut bytes = std::fs::read(&segment).unwrap();
    let whole = bytes.len();
    bytes.extend_from_slice(&content(9, 700));
    std::fs::write(&segment, &bytes).unwrap();
    // A block that was being received when the process was killed: no header yet.
    let half = directory.path().join("own/00000001").join(format!("0001-{}", id(3)));
    std::fs::write(&half, vec![0; 10_000]).unwrap();

    let volume = open();
    assert_eq!(volume.recovery().torn_bytes, 700);
    assert_eq!(volume.recovery().dropped, 1);
    assert_eq!(std::fs::metadata(&segment).unwrap().len(), whole as u64);
    assert!(!half.exists());
    block_on(put(&volume, id(4), &content(4, 1000))).unwrap();
    for (n, length) in [(1, 1000), (2, 50_000), (4, 1000)] {
        assert_eq!(read(&volume, id(n)).unwrap(), content(n.into(), length));
    }
}

#[test]
fn writers_that_wait_at_the_same_time_share_a_sync() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    let before = disk.syncs();
    let blocks: Vec<Bytes> = (0..20).map(|n| content(n, 100)).collect();
    #[expect(clippy::await_holding_lock, reason = "the only await under it polls once and does not wait")]
    block_on(async {
        let mut writers = Vec::new();
        for (n, bytes) in (0..).zip(&blocks) {
            // Space for it is freed on another thread, in its own time.
            let mut writer = volume.writer(id(n), bytes.len() as u64, crc32c(bytes)).await.unwrap();
            writer.write(bytes.clone()).await.unwrap();
            writers.push(writer);
        }
        let mut puts = Box::pin(join_all(writers.into_iter().map(BlockWriter::finish)));
        let held = disk.hold_syncs();
        assert!(futures_util::poll!(&mut puts).is_pending());
        drop(held);
        puts.await.into_iter().for_each(Result::unwrap);
    });
    // One for the new segment, one for those who came first, one for all others.
    assert!(disk.syncs() - before <= 3, "{}", disk.syncs() - before);
    assert_eq!(volume.page(None, 100).len(), 20);
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

/// A quota is not seen by `statvfs`: there seems to be space, and writes fail all the same.
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
            // Nobody is told any more that there is space.
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

#[test]
fn a_segment_that_somebody_removed_is_missed_and_costs_its_blocks_only() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        for n in 0..30 {
            put(&volume, id(n), &content(n.into(), 1500)).await.unwrap();
        }
    });
    assert_eq!(volume.lose_missing_segments().unwrap(), []);
    // The second is sealed, the last is being written to.
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
fn a_file_that_somebody_removed_costs_its_block_and_not_the_volume() {
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

#[test]
fn a_segment_that_cannot_be_read_does_not_hold_up_compaction() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    block_on(async {
        for n in 0..12 {
            put(&volume, id(n), &content(n.into(), 1500)).await.unwrap();
        }
        for n in 1..10 {
            volume.delete(id(n)).await.unwrap();
        }
    });
    disk.break_below("/data/shared/00000001.segment", FaultKind::Unreadable, 0);
    let done = volume.compact().unwrap().unwrap();
    assert_eq!(done.damaged, [id(0)]);
    assert!(done.freed_bytes > 0);
    assert_eq!(read(&volume, id(11)).unwrap(), content(11, 1500));
}

#[test]
fn a_disk_with_many_bad_sectors_is_taken_out_before_it_dies() {
    let disk = SimDisk::new(1 << 30);
    let volume = open(&disk).unwrap();
    let counted = (0..100).take_while(|_| volume.count_unreadable().is_ok()).count();
    assert_eq!(counted, 15);
    assert!(volume.failure().unwrap().contains("16 blocks could not be read"));
}

//! Shared code of a volume's tests: small options, ways to open a volume, and blocks with known contents.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{BlockId, NodeId, VolumeId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::volume::disk::{Disk, RealDisk};
use crate::volume::identity::{self, DirectoryLock, Identity};
use crate::volume::sim::SimDisk;
use crate::volume::{OpenError, Volume, VolumeError, VolumeOptions};

/// Small limits, so that few operations cover every path.
pub(crate) fn options() -> VolumeOptions {
    VolumeOptions {
        capacity_bytes_max: None,
        reserve_bytes: 0,
        dedicated_segment_bytes_min: 8 * 1024,
        segment_bytes_max: 16 * 1024,
        checkpoint_bytes: 64 * 1024,
        trash_age: Duration::ZERO,
    }
}

pub(crate) fn options_with_trash(has_trash: bool) -> VolumeOptions {
    let trash_age = Duration::from_secs(if has_trash { 3600 } else { 0 });
    VolumeOptions { trash_age, ..options() }
}

pub(crate) fn env() -> Env {
    Env::manual(1, Timestamp(1_000_000)).0
}

pub(crate) fn identity() -> Identity {
    Identity::new(NodeId(Uuid::from_u128(1)), VolumeId(Uuid::from_u128(2)), None)
}

pub(crate) fn open(disk: &SimDisk) -> Result<Volume, OpenError> {
    open_with(disk, options())
}

pub(crate) fn open_with(disk: &SimDisk, options: VolumeOptions) -> Result<Volume, OpenError> {
    open_in(disk, options, env())
}

pub(crate) fn open_in(disk: &SimDisk, options: VolumeOptions, env: Env) -> Result<Volume, OpenError> {
    let directory = PathBuf::from("/data");
    disk.create_dir(&directory)
        .and_then(|()| disk.sync_dir(&PathBuf::from("/")))
        .map_err(identity::io("create", &directory))?;
    let lock = DirectoryLock::take(disk, &directory)?;
    identity().write(disk, &directory)?;
    Volume::open(Arc::new(disk.clone()), &directory, lock, &identity(), options, env)
}

pub(crate) fn open_real(directory: &Path, options: VolumeOptions) -> Volume {
    // The log's thread of a volume that was dropped may still hold the lock for a moment.
    let lock = loop {
        match DirectoryLock::take(&RealDisk, directory) {
            Err(OpenError::InUse(_)) => std::thread::yield_now(),
            lock => break lock.unwrap(),
        }
    };
    Volume::open(Arc::new(RealDisk), directory, lock, &identity(), options, env()).unwrap()
}

pub(crate) fn id(n: u16) -> BlockId {
    BlockId(Uuid::from_u128(u128::from(n) + 1))
}

pub(crate) fn content(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

pub(crate) async fn put(volume: &Volume, id: BlockId, bytes: &Bytes) -> Result<(), VolumeError> {
    let mut writer = volume.writer(id, bytes.len() as u64, crc32c(bytes)).await?;
    for piece in bytes.chunks(5000) {
        writer.write(Bytes::copy_from_slice(piece)).await?;
    }
    writer.finish().await
}

/// Stores blocks of `length` bytes under these numbers; each has the [`content`] of its number.
pub(crate) async fn put_all(volume: &Volume, numbers: impl IntoIterator<Item = u16>, length: usize) {
    for n in numbers {
        put(volume, id(n), &content(n.into(), length)).await.unwrap();
    }
}

/// Deletes the blocks of these numbers.
pub(crate) async fn delete_all(volume: &Volume, numbers: impl IntoIterator<Item = u16>) {
    for n in numbers {
        volume.delete(id(n)).await.unwrap();
    }
}

pub(crate) fn read(volume: &Volume, id: BlockId) -> Result<Bytes, VolumeError> {
    let reader = volume.reader(id)?;
    reader.read(0, reader.length())
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

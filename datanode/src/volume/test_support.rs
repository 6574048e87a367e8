//! Volumes with blocks, for tests of modules outside of this folder.

use std::path::PathBuf;
use std::sync::Arc;

use cairn_protocol::checksum::crc32c;
use cairn_protocol::id::BlockId;
use uuid::Uuid;

use super::Volume;
use super::entry::Entry;
use super::record::Place;
pub(crate) use super::sim::SimDisk;
use super::tests::support::{block_on, content, env, options};
pub(crate) use super::tests::support::{id, open};
use super::volumes::Volumes;

/// Two volumes on one simulated disk, with small blocks on both, drawn at random.
pub(crate) fn volumes_with_blocks(count: u16) -> Volumes {
    let directories = ["/a", "/b"].map(PathBuf::from);
    let disk = SimDisk::new(1 << 30);
    let volumes = Volumes::open(Arc::new(disk), &directories, &options(), &env()).unwrap();
    block_on(async {
        for n in 0..count {
            let bytes = content(n.into(), 100);
            let volume = volumes.in_order_for_writing().remove(0);
            let mut writer = volume.writer(id(n), bytes.len() as u64, crc32c(&bytes)).await.unwrap();
            writer.write(bytes).await.unwrap();
            writer.finish().await.unwrap();
        }
    });
    volumes
}

/// Locks the indexes of all volumes. Every access to one waits until this is dropped.
pub(crate) fn keep_busy(volumes: &Volumes) -> impl Sized + use<'_> {
    volumes.volumes().map(|volume| volume.state.index_mut()).collect::<Vec<_>>()
}

/// Adds blocks to the index of a volume, without any bytes on disk. Returns their ids.
pub(crate) fn pretend(volume: &Volume, count: u32) -> Vec<BlockId> {
    let mut index = volume.state.index_mut();
    let blocks = (0..count).map(|n| (BlockId(Uuid::from_u128((1 << 100) + u128::from(n))), n));
    let insert = |(id, n)| {
        index.insert(id, Entry { length: 1, crc: 0, place: Place::dedicated(1, n) });
        id
    };
    blocks.map(insert).collect()
}

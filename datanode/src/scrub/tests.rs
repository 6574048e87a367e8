//! The promises of the scrubbers: every replica is read within a period, also over restarts, and no block in use is judged.

use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::block::Connector;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::cluster::ScrubProgress;
use cairn_protocol::env::{Env, ManualClock, Timestamp};
use cairn_protocol::event::EventBus;
use cairn_protocol::id::BlockId;
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::tls::Identity;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::datanode::Datanode;
use crate::volume::{LastScrub, Volume};

/// A node with a volume in each of these directories, and a limit of `rate` bytes per second for each scrubber.
async fn node(directories: &[&TempDir], rate: u64, env: Env) -> (Config, Datanode) {
    let directories = directories.iter().map(|directory| directory.path().to_path_buf()).collect();
    let mut config = Config::new(directories, "");
    config.volume.reserve_bytes = 0;
    config.scrub_bytes_per_second_max = rate;
    let secret = ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap();
    let connector = Arc::new(Connector::new(&Identity::of_secret(&secret, env.clone()).unwrap()).unwrap());
    let events = EventBus::new(env.clone());
    let datanode = Datanode::open(config.clone(), connector, secret, env, events).await.unwrap();
    (config, datanode)
}

/// The scrubber of a node with one empty volume.
async fn scrubber() -> (VolumeScrubber, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let (config, datanode) = node(&[&directory], u64::MAX, Env::system()).await;
    let blocks = datanode.inner().clone();
    let volume = blocks.volumes.volumes().next().unwrap().clone();
    let control = Arc::new(ScrubControl::new(LastScrub::default()));
    let scrubber = VolumeScrubber::new(&config, blocks, volume, control, CancellationToken::new());
    (scrubber.await, directory)
}

impl VolumeScrubber {
    /// Scrubs a round. Returns the numbers of replicas read and found corrupt.
    async fn scrub(&mut self) -> (u64, u64) {
        self.begin(1);
        assert!(self.round().await.is_ok());
        (self.cursor.blocks, self.cursor.corrupt)
    }
}

async fn write(volume: &Volume, id: BlockId, length: usize) {
    let bytes = Bytes::from(vec![1; length]);
    let mut writer = volume.writer(id, length as u64, crc32c(&bytes)).await.unwrap();
    writer.write(bytes).await.unwrap();
    writer.finish().await.unwrap();
}

fn id(n: u128) -> BlockId {
    BlockId(Uuid::from_u128(n))
}

/// Scrubs all volumes of a node until `enough` accepts the progress. The clock advances by `step` a turn.
async fn scrub_until(
    (config, datanode): &(Config, Datanode),
    clock: &ManualClock,
    step: Duration,
    enough: impl Fn(&ScrubProgress) -> bool,
) -> ScrubProgress {
    let blocks = datanode.inner().clone();
    let control = Arc::new(ScrubControl::new(blocks.volumes.last_scrub()));
    let shutdown = CancellationToken::new();
    let running = run(config, blocks, control.clone(), shutdown.clone());
    let watching = async {
        while !enough(&control.progress()) {
            clock.advance(step);
            tokio::task::yield_now().await;
        }
        let progress = control.progress();
        shutdown.cancel();
        progress
    };
    let ((), progress) = tokio::join!(running, watching);
    progress
}

/// Volumes were once read one after the other: a node with 24 disks took 24 periods.
#[tokio::test]
async fn disks_are_read_at_the_same_time() {
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (env, clock) = Env::manual(1, Timestamp(1_000_000));
    let node = node(&directories.each_ref(), 1, env).await;
    for (n, volume) in node.1.volumes().volumes().enumerate() {
        write(volume, id(n as u128 + 1), 1_000).await;
    }
    // At one byte a second, and without time, no scrubber reads a second block.
    let progress = scrub_until(&node, &clock, Duration::ZERO, |progress| progress.bytes == 3 * 1_000).await;
    assert_eq!((progress.blocks_in_all, progress.finished_at), (3, None));
}

/// Every start once began a round at a random block. On a node that is restarted more often than its disks can be read, no block was
/// sure to be read within any time.
#[tokio::test]
async fn a_round_goes_on_after_a_restart_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (env, clock) = Env::manual(1, Timestamp(1_000_000));
    let first = node(&[&directory], 1_000, env.clone()).await;
    for n in 1..=3 {
        write(first.1.volumes().volumes().next().unwrap(), id(n), 1_000).await;
    }
    let second = Duration::from_secs(1);
    let read = scrub_until(&first, &clock, second, |progress| progress.blocks == 2).await;
    assert_eq!(read.finished_at, None);
    first.1.close().await;
    drop(first);

    // A block before the cursor is read in the next round.
    flip_a_bit(&directory, 500);
    let again = node(&[&directory], 1_000, env.clone()).await;
    let read = scrub_until(&again, &clock, second, |progress| progress.finished_at.is_some()).await;
    assert_eq!((read.blocks, read.bytes, read.corrupt), (3, 3_000, 0));
    again.1.close().await;
    drop(again);

    let later = node(&[&directory], u64::MAX, env).await;
    clock.advance(later.0.scrub_period);
    let read = scrub_until(&later, &clock, second, |progress| progress.corrupt == 1).await;
    assert!(read.blocks <= 3);
}

/// Flips a bit of the shared segment, `at` bytes from its beginning.
fn flip_a_bit(directory: &TempDir, at: usize) {
    let segment = directory.path().join("shared/00000001.segment");
    let mut stored = std::fs::read(&segment).unwrap();
    stored[at] ^= 1;
    std::fs::write(&segment, stored).unwrap();
}

const BLOCK: BlockId = BlockId(Uuid::from_u128(1));

#[tokio::test]
async fn a_block_that_is_being_received_is_not_read() {
    let (mut scrubber, _directory) = scrubber().await;
    for length in [1000, 3_000_000] {
        let bytes = Bytes::from(vec![1; length]);
        let volume = scrubber.volume.clone();
        let mut writer = volume.writer(BLOCK, length as u64, crc32c(&bytes)).await.unwrap();
        writer.write(bytes.slice(..length / 2)).await.unwrap();
        assert_eq!(scrubber.scrub().await, (0, 0));
        writer.write(bytes.slice(length / 2..)).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(scrubber.scrub().await, (1, 0));
        assert!(volume.delete(BLOCK).await.unwrap());
    }
}

/// A block that is being written or deleted may look damaged because only a part of it is there.
#[tokio::test]
async fn a_block_that_is_being_deleted_or_written_is_not_judged() {
    let (mut scrubber, directory) = scrubber().await;
    let volume = scrubber.volume.clone();
    write(&volume, BLOCK, 1_000).await;
    flip_a_bit(&directory, 500);

    let turn = scrubber.blocks.block_locks.lock_to_delete(BLOCK).await;
    assert_eq!(scrubber.scrub().await, (1, 0));
    assert_eq!(volume.quarantined(), []);
    drop(turn);
    assert_eq!(scrubber.scrub().await, (1, 1));
    assert_eq!(volume.quarantined(), [BLOCK]);
}

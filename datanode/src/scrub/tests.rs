use bytes::Bytes;
use cairn_protocol::block::Connector;
use cairn_protocol::checksum::crc32c;
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::secret::ClusterSecret;
use tempfile::TempDir;

use super::*;
use crate::datanode::Datanode;

/// A scrubber of an empty node.
async fn scrubber() -> (Scrubber, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut config = Config::new(vec![directory.path().to_path_buf()], "");
    config.volume.reserve_bytes = 0;
    let env = Env::system();
    let secret = ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap();
    let connector = Arc::new(Connector::new().unwrap());
    let events = EventBus::new(env.clone());
    let datanode = Datanode::open(config.clone(), connector, secret, env, events).await.unwrap();
    let control = Arc::new(ScrubControl::new(Scrubbed::default()));
    (Scrubber::new(&config, datanode.inner().clone(), control, CancellationToken::new()), directory)
}

impl Scrubber {
    /// Replicas read, and found corrupt, in a round.
    async fn scrub(&mut self) -> (u64, u64) {
        assert!(self.round(1).await.is_ok());
        let progress = self.control.progress();
        (progress.blocks, progress.corrupt)
    }

    fn volume(&self) -> Arc<Volume> {
        self.blocks.volumes.volumes().next().unwrap().clone()
    }
}

const BLOCK: BlockId = BlockId(Uuid::from_u128(1));

#[tokio::test]
async fn a_block_that_is_being_received_is_not_read() {
    let (mut scrubber, _directory) = scrubber().await;
    for length in [1000, 3_000_000] {
        let bytes = Bytes::from(vec![1; length]);
        let volume = scrubber.volume();
        let mut writer = volume.writer(BLOCK, length as u64, crc32c(&bytes)).await.unwrap();
        writer.write(bytes.slice(..length / 2)).await.unwrap();
        assert_eq!(scrubber.scrub().await, (0, 0));
        writer.write(bytes.slice(length / 2..)).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(scrubber.scrub().await, (1, 0));
        assert!(volume.delete(BLOCK).await.unwrap());
    }
}

/// It may look damaged only because it is half gone.
#[tokio::test]
async fn a_block_that_somebody_deletes_or_writes_is_not_judged() {
    let (mut scrubber, directory) = scrubber().await;
    let bytes = Bytes::from(vec![1; 1000]);
    let volume = scrubber.volume();
    let mut writer = volume.writer(BLOCK, 1000, crc32c(&bytes)).await.unwrap();
    writer.write(bytes).await.unwrap();
    writer.finish().await.unwrap();
    let segment = directory.path().join("shared/00000001.segment");
    let mut stored = std::fs::read(&segment).unwrap();
    let last = stored.len() - 100;
    stored[last] ^= 1;
    std::fs::write(&segment, stored).unwrap();

    let turn = scrubber.blocks.in_flight.delete(BLOCK).await;
    assert_eq!(scrubber.scrub().await, (1, 0));
    assert_eq!(volume.quarantined(), []);
    drop(turn);
    assert_eq!(scrubber.scrub().await, (1, 1));
    assert_eq!(volume.quarantined(), [BLOCK]);
}

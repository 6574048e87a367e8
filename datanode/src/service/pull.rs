//! Copying a block from another node, on the metanode's command. The new holder reads the block and verifies it.

use std::time::Duration;

use cairn_protocol::block::{BlockError, GetBlock};
use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;
use cairn_protocol::secret::BlockOperation;
use cairn_protocol::warn_peer;
use futures_util::StreamExt;

use super::BlockStore;

/// How long a token for a pull is valid. The source checks it when the request arrives, by its own clock, so the time allows for
/// clocks that differ by minutes.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(300);

impl BlockStore {
    /// Copies a block from the first of `sources` that has an intact replica.
    pub(crate) async fn pull(
        &self,
        replica: ReportedReplica,
        sources: &[(NodeId, String)],
    ) -> Result<(), BlockError> {
        let lock = self.block_locks.lock_to_write(replica.block, &self.env).await.ok_or(BlockError::Busy)?;
        if self.holds(replica)? {
            return Ok(());
        }
        let mut failure = BlockError::NotFound;
        for (node, address) in sources {
            let copied = tokio::select! {
                biased;
                () = stopped(&lock) => {
                    return Err(BlockError::Unreachable { reason: "the block is being deleted".to_owned() });
                }
                copied = self.copy(replica, *node, address) => copied,
            };
            match copied {
                Ok(()) => {
                    self.note_stored(replica);
                    self.events.publish(EventKind::BlockStored { block: replica.block, node: self.node });
                    return Ok(());
                }
                Err(error) => {
                    warn_peer!(block = %replica.block, %node, %error, "cannot copy a block");
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    async fn copy(&self, replica: ReportedReplica, node: NodeId, address: &str) -> Result<(), BlockError> {
        let ReportedReplica { block, length, crc32c } = replica;
        let expires = self.env.now().after(TOKEN_LIFETIME);
        let token = self.secret.block_token(BlockOperation::Get, block, node, expires);
        let source = self.connector.connect(node, address);
        let get = source.get(GetBlock { block, range: None, token });
        let mut read =
            self.env.timeout(self.stall_timeout, get).await.map_err(|_| BlockError::TimedOut)??;
        if read.info.length != length || read.info.crc32c != crc32c {
            return Err(BlockError::ChecksumMismatch);
        }
        let (_volume, mut writer) = self.writer(block, length, crc32c).await?;
        loop {
            let piece = self.env.timeout(self.stall_timeout, read.data.next()).await;
            match piece.map_err(|_| BlockError::TimedOut)? {
                Some(piece) => writer.write(piece?).await?,
                None => break,
            }
        }
        // This verifies length and CRC32C.
        Ok(writer.finish().await?)
    }
}

pub(super) async fn stopped(lock: &crate::block_locks::BlockLock) {
    lock.stop().cancelled().await;
}

//! Writes a stored block again under a new grant, because the metanode refused the old one: too few of its nodes are
//! left, or it was abandoned.
//!
//! The block's memory was given back when it was stored, because keeping it until the commit would cost every upload
//! its whole length. So the block is read from one of the nodes that stored it, and verified like any other read. If
//! none of them has it, the client gets an error that makes it send the body again.

use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::{BlockLocation, Replica};

use super::DataError;
use super::buffer::{BlockBuffer, SealedBlock};
use super::grants::Need;
use super::replica::{OpenReplica, ReplicaError, Wanted};
use super::send::Sender;
use super::stored_block::StoredBlock;

impl Sender {
    /// Writes the block again and returns the new one. The old grant is given back.
    pub(super) async fn rewrite(&self, block: &StoredBlock) -> Result<StoredBlock, DataError> {
        let bytes = match &block.packed {
            Some(packed) => packed.body.clone(),
            None => self.read_back(block).await?,
        };
        let grant = self.grants.take(block.offset, bytes.length, Need::One(bytes.length)).await?;
        let stored = self.store(grant, block.offset, bytes).await?;
        self.lease.release(block.grant.block);
        Ok(stored)
    }

    async fn read_back(&self, block: &StoredBlock) -> Result<SealedBlock, DataError> {
        let id = block.grant.block;
        let mut reason = "no node stored it".to_owned();
        for target in &block.grant.targets {
            if !block.stored_on.contains(&target.node) {
                continue;
            }
            let replica = Replica {
                node: target.node,
                address: target.address.clone(),
                zone: None,
                live: true,
                bad: false,
            };
            match self.read_from(id, block, replica).await {
                Ok(sealed) => return Ok(sealed),
                Err(error) => reason = format!("{}: {error}", target.node),
            }
        }
        Err(DataError::Unreadable { block: id, reason })
    }

    async fn read_from(
        &self,
        id: BlockId,
        block: &StoredBlock,
        replica: Replica,
    ) -> Result<SealedBlock, ReplicaError> {
        let StoredBlock { length, crc32c, .. } = *block;
        let location = BlockLocation { block: id, length, crc32c, replicas: vec![replica.clone()] };
        // The memory is reserved at once: no upload waits for memory while it holds a part of a block.
        let reservation = self.parts.budget.writer().reserve(length).await;
        let mut buffer = BlockBuffer::new(reservation, length);
        let mut open =
            OpenReplica::open(self.parts.clone(), &location, &replica, Wanted::range((0, length))).await?;
        while buffer.length() < length {
            for mut piece in open.next_chunk().await?.pieces {
                buffer.push(&mut piece);
            }
        }
        let sealed = buffer.seal();
        if sealed.crc32c != crc32c {
            return Err(ReplicaError::Wrong("other bytes than were stored"));
        }
        Ok(sealed)
    }
}

//! Making a pack on the metanode's command: a block of pieces of other blocks. Each piece is read from this node if it holds the
//! block, else from another one, and verified; then the whole is.

use bytes::Bytes;
use cairn_protocol::block::{BYTES_MAX, BlockError, GetBlock, cut_out};
use cairn_protocol::checksum;
use cairn_protocol::cluster::{PACK_PIECE_MAX, PackPiece, ReportedReplica};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;
use cairn_protocol::secret::BlockOperation;
use cairn_protocol::warn_peer;
use futures_util::{FutureExt, StreamExt};

use super::BlockStore;
use super::pull::{TOKEN_LIFETIME, stopped};

/// Pieces that are read at once, so that the way to other nodes costs little. With the longest pieces they are 8 MiB.
const PIECES_AT_ONCE: usize = 8;

impl BlockStore {
    /// Makes a pack, if this node does not hold it.
    pub(crate) async fn pack(
        &self,
        replica: ReportedReplica,
        pieces: &[PackPiece],
        nodes: &[(NodeId, String)],
    ) -> Result<(), BlockError> {
        let lock = self.block_locks.lock_to_write(replica.block, &self.env).await.ok_or(BlockError::Busy)?;
        if self.holds(replica)? {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = stopped(&lock) => {
                return Err(BlockError::Unreachable { reason: "the block is being deleted".to_owned() });
            }
            made = self.put_together(replica, pieces, nodes) => made?,
        }
        self.note_stored(replica);
        self.events.publish(EventKind::BlockStored { block: replica.block, node: self.node });
        Ok(())
    }

    async fn put_together(
        &self,
        replica: ReportedReplica,
        pieces: &[PackPiece],
        nodes: &[(NodeId, String)],
    ) -> Result<(), BlockError> {
        let (_volume, mut writer) = self.writer(replica.block, replica.length, replica.crc32c).await?;
        let reads: Vec<_> = pieces.iter().map(|piece| self.piece(piece, nodes).boxed()).collect();
        let mut read = std::pin::pin!(futures_util::stream::iter(reads).buffered(PIECES_AT_ONCE));
        while let Some(bytes) = read.next().await {
            writer.write(bytes?).await?;
        }
        // This verifies length and CRC32C.
        Ok(writer.finish().await?)
    }

    /// A piece, verified, from this node or from the first other one that has it intact.
    async fn piece(&self, piece: &PackPiece, nodes: &[(NodeId, String)]) -> Result<Bytes, BlockError> {
        if piece.length > PACK_PIECE_MAX {
            return Err(BlockError::Malformed { reason: format!("a piece of {} bytes", piece.length) });
        }
        let mut failure = BlockError::NotFound;
        let here = self.volumes.held(&piece.block).map(|_| (self.node, ""));
        let others = piece.sources.iter().filter_map(|index| nodes.get(*index as usize));
        let others = others.filter(|(node, _)| *node != self.node);
        let all: Vec<(NodeId, &str)> =
            here.into_iter().chain(others.map(|(node, address)| (*node, &address[..]))).collect();
        for (node, address) in all {
            let read = self.env.timeout(self.stall_timeout, self.read_piece(piece, node, address)).await;
            match read.unwrap_or(Err(BlockError::TimedOut)) {
                Ok(bytes)
                    if bytes.len() as u64 == piece.length && checksum::crc32c(&bytes) == piece.crc32c =>
                {
                    return Ok(bytes);
                }
                Ok(_) => failure = BlockError::ChecksumMismatch,
                Err(error) => failure = error,
            }
            warn_peer!(block = %piece.block, %node, error = %failure, "cannot read a piece of a pack");
        }
        Err(failure)
    }

    async fn read_piece(&self, piece: &PackPiece, node: NodeId, address: &str) -> Result<Bytes, BlockError> {
        let range = Some((piece.offset, piece.offset.saturating_add(piece.length)));
        let is_short = piece.length <= BYTES_MAX;
        if node == self.node {
            return match is_short {
                true => self.read_bytes(piece.block, range).await,
                false => cut_out(self.read(piece.block, range).await?, range).await,
            };
        }
        let expires = self.env.now().after(TOKEN_LIFETIME);
        let token = self.secret.block_token(BlockOperation::Get, piece.block, node, expires);
        let request = GetBlock { block: piece.block, range, token };
        let source = self.connector.connect(node, address);
        match is_short {
            true => source.get_bytes(request).await,
            false => cut_out(source.get(request).await?, range).await,
        }
    }
}

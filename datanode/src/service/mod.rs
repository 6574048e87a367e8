//! The block service of a datanode: [`BlockStore`] implements [`BlockService`] over the volumes.
//!
//! | module | what is there |
//! |---|---|
//! | `mod` | [`BlockStore`]: tokens, HEAD, delete, restore |
//! | `put` | receiving a block: to a volume and along the pipeline at the same time |
//! | `pipeline` | forwarding a block to the next nodes of its pipeline |
//! | `get` | sending a block, verified |
//! | `pull` | copying a block from another node, on the metanode's command |
//! | `pack` | making a pack out of pieces of other blocks, on the metanode's command |
//! | `damage` | what happens to a replica that is found damaged |
//! | `error` | errors of a volume as errors of the service |
//! | `http` | the routes |

mod damage;
mod error;
mod get;
pub(crate) mod http;
mod pack;
mod pipeline;
mod pull;
mod put;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cairn_protocol::block::{
    BlockConnector, BlockError, BlockInfo, BlockRead, BlockService, BlockStream, DeleteBlock, GetBlock,
    HeadBlock, PutBlock, PutBlockReply,
};
use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::env::Env;
use cairn_protocol::event::{EventBus, EventKind};
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::secret::{BlockOperation, ClusterSecret};
use tokio::sync::Semaphore;

use crate::block_locks::BlockLocks;
use crate::config::Config;
use crate::incremental_report::IncrementalReport;
use crate::recent::{Moment, RecentlyStored};
use crate::volume::blocking;
use crate::volume::volumes::Volumes;

/// The blocks of one datanode. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BlockStore {
    pub(crate) node: NodeId,
    pub(crate) volumes: Arc<Volumes>,
    pub(crate) secret: ClusterSecret,
    pub(crate) env: Env,
    pub(crate) events: EventBus,
    pub(crate) incremental_report: Arc<IncrementalReport>,
    pub(crate) block_locks: Arc<BlockLocks>,
    pub(crate) recent: Arc<RecentlyStored>,
    pub(crate) connector: Arc<dyn BlockConnector>,
    /// The incarnation in which the metanode knows this node; 0 before the first registration.
    pub(crate) incarnation: Arc<AtomicU64>,
    receives: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    stall_timeout: Duration,
}

impl BlockStore {
    pub(crate) fn new(
        config: &Config,
        volumes: Arc<Volumes>,
        connector: Arc<dyn BlockConnector>,
        secret: ClusterSecret,
        env: Env,
        events: EventBus,
    ) -> Self {
        Self {
            node: volumes.node(),
            volumes,
            secret,
            env,
            events,
            incremental_report: Arc::default(),
            block_locks: Arc::default(),
            recent: Arc::default(),
            connector,
            incarnation: Arc::default(),
            receives: Arc::new(Semaphore::new(config.receives_max)),
            reads: Arc::new(Semaphore::new(config.reads_max)),
            stall_timeout: config.stall_timeout,
        }
    }

    fn check_token(&self, token: &str, operation: BlockOperation, block: BlockId) -> Result<(), BlockError> {
        let checked = self.secret.check_block_token(token, operation, block, self.node, self.env.now());
        checked.map_err(|error| BlockError::Unauthorized { reason: error.to_string() })
    }

    /// The incarnation for which this node vouches that it holds a block: in that incarnation its block report or its heartbeats
    /// report the replica. 0 if no working volume holds the block.
    pub(crate) fn acknowledge(&self, block: &BlockId) -> u64 {
        // The incarnation is read first. If the replica is lost later, its loss is reported in this incarnation or a later one.
        let incarnation = self.incarnation.load(Ordering::Acquire);
        if self.volumes.held(block).is_some() { incarnation } else { 0 }
    }

    /// Whether this node holds the block already.
    ///
    /// # Errors
    /// [`BlockError::Conflict`] if it holds another block of that id.
    fn holds(&self, replica: ReportedReplica) -> Result<bool, BlockError> {
        match self.volumes.held(&replica.block) {
            None => Ok(false),
            Some(held) if (held.length, held.crc) == (replica.length, replica.crc32c) => Ok(true),
            Some(_) => Err(BlockError::Conflict),
        }
    }

    /// Deletes a block; the caller has checked the permission. It is no error if the node does not hold the block.
    pub(crate) async fn remove(&self, block: BlockId) -> Result<(), BlockError> {
        let _lock = self.block_locks.lock_to_delete(block).await;
        self.remove_locked(block).await
    }

    async fn remove_locked(&self, block: BlockId) -> Result<(), BlockError> {
        if self.volumes.delete(block).await? {
            self.events.publish(EventKind::BlockDeleted { block, node: self.node });
        }
        // Reported even if the node did not hold the block, because the metanode may believe that it did.
        self.incremental_report.replica_deleted(block);
        Ok(())
    }

    /// Like [`remove`](Self::remove), unless the block was stored after this moment.
    pub(crate) async fn remove_older(&self, block: BlockId, than: Moment) -> Result<(), BlockError> {
        // Checked under the block's lock, which a writer holds until the block is noted in `recent`. A writer that is still receiving
        // the block is not stopped, because its replica will be newer than the command.
        let _lock = self.block_locks.lock_to_write(block, &self.env).await.ok_or(BlockError::Busy)?;
        if self.recent.may_be_newer(block, than) {
            tracing::info!(%block, "a replica that was stored after its deletion was ordered stays");
            return Ok(());
        }
        self.remove_locked(block).await
    }

    /// Notes that a block was stored, and adds it to the incremental report.
    pub(crate) fn note_stored(&self, replica: ReportedReplica) {
        self.recent.add(replica.block);
        self.incremental_report.replica_stored(replica);
    }

    /// Brings a deleted block back from the trash, and reports it as stored if the node then holds it. It is no error if the block is
    /// not in the trash.
    pub(crate) async fn restore(&self, block: BlockId) -> Result<(), BlockError> {
        let _lock = self.block_locks.lock_to_write(block, &self.env).await.ok_or(BlockError::Busy)?;
        let volumes = self.volumes.clone();
        let was_held = volumes.held(&block).is_some();
        if let Some(held) = blocking(move || volumes.restore(block)).await? {
            self.note_stored(ReportedReplica { block, length: held.length, crc32c: held.crc });
            if !was_held {
                self.events.publish(EventKind::BlockStored { block, node: self.node });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl BlockService for BlockStore {
    async fn put(&self, request: PutBlock, data: BlockStream) -> Result<PutBlockReply, BlockError> {
        self.check_token(&request.token, BlockOperation::Put, request.block)?;
        self.receive(request, data).await
    }

    async fn get(&self, request: GetBlock) -> Result<BlockRead, BlockError> {
        self.check_token(&request.token, BlockOperation::Get, request.block)?;
        self.read(request.block, request.range).await
    }

    async fn get_bytes(&self, request: GetBlock) -> Result<Bytes, BlockError> {
        self.check_token(&request.token, BlockOperation::Get, request.block)?;
        self.read_bytes(request.block, request.range).await
    }

    async fn head(&self, request: HeadBlock) -> Result<BlockInfo, BlockError> {
        self.check_token(&request.token, BlockOperation::Get, request.block)?;
        match self.volumes.find(&request.block) {
            Some((volume, stored)) => {
                let incarnation = Some(self.acknowledge(&request.block));
                let volume = Some(volume.id());
                Ok(BlockInfo { length: stored.length, crc32c: stored.crc, volume, incarnation })
            }
            None if self.volumes.is_quarantined(&request.block) => Err(BlockError::Corrupt),
            None => Err(BlockError::NotFound),
        }
    }

    async fn delete(&self, request: DeleteBlock) -> Result<(), BlockError> {
        self.check_token(&request.token, BlockOperation::Delete, request.block)?;
        self.remove(request.block).await
    }
}

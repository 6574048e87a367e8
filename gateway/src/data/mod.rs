//! The data path: bodies become blocks on datanodes, and blocks become verified bytes again.
//!
//! | module | what is there |
//! |---|---|
//! | [`config`] | memory limits and time-outs |
//! | [`budget`] | one byte budget for all uploads, one for all downloads |
//! | `fair` | a semaphore that is fair between owners |
//! | [`owner`] | the client for which memory is used |
//! | `buffer` | a block that is being filled, and its checksums |
//! | `upload` | a body on its way into blocks |
//! | `grants` | grants, taken ahead of need, avoiding nodes that failed |
//! | `lease` | renews the grants of an upload, and gives them back when it ends without a commit |
//! | `packs` | small bodies that are sent together, as one block |
//! | `send` | one block on its way to enough datanodes |
//! | `stored_block` | a block that is on stable storage |
//! | `commit` | blocks that wait for their commit, and the commit |
//! | `rewrite` | a block that did not stay is written again |
//! | `reader` | the bytes of an object, in order |
//! | `open_block` | a block, opened at the replica that answers first |
//! | `reads` | which versions are being read: the metanode keeps those that are read for long |
//! | `download_resources` | what a download holds: memory and open replicas |
//! | `slow_clients` | downloads whose clients do not read give back what they hold |
//! | `replica` | the bytes of one block, from one replica: the check of each chunk |
//! | `suspects` | nodes that failed just now |
//! | `error` | the errors of the data path, and the S3 error for each |
//!
//! Architecture invariants: every byte that leaves [`ObjectBody`] was compared with the checksum which the metanode
//! recorded for its block. No upload waits long for memory while it holds more than a page of a block that is not on its
//! way to a datanode. A download whose client does not read holds no more than a piece.

pub mod budget;
mod buffer;
mod commit;
pub mod config;
mod download_resources;
mod error;
mod fair;
mod grants;
mod lease;
mod open_block;
pub mod owner;
mod packs;
mod reader;
mod reads;
mod replica;
mod rewrite;
mod send;
mod slow_clients;
mod stored_block;
mod suspects;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use cairn_protocol::block::BlockConnector;
use cairn_protocol::env::Env;
use cairn_protocol::metadata::{LocatedObject, Metadata};
use cairn_protocol::secret::ClusterSecret;
use futures_util::Stream;
use tokio::sync::Semaphore;

pub use budget::Budget;
pub use commit::StoredBlocks;
pub use config::{DataConfig, Timeouts};
pub use error::{DataError, WriteError};
pub use owner::Owner;
pub use reader::ObjectBody;

use packs::Packs;
use reads::Reads;
use slow_clients::Parking;
use suspects::Suspects;

/// Writes and reads the bytes of objects. Clones share the budgets and the suspect nodes.
#[derive(Clone)]
pub struct DataPath {
    parts: Arc<Parts>,
    /// Where bodies are committed.
    commits: Arc<dyn Metadata>,
}

/// The state that uploads and downloads share.
struct Parts {
    metadata: Arc<dyn Metadata>,
    blocks: Arc<dyn BlockConnector>,
    secret: ClusterSecret,
    env: Env,
    budget: Budget,
    timeouts: Timeouts,
    /// Downloads that have memory.
    parking: Arc<Parking>,
    /// Nodes that failed to send what they have.
    read_suspects: Suspects,
    /// Nodes that failed to store something.
    write_suspects: Suspects,
    reads: Reads,
    /// Blocks on their way to datanodes.
    sends: Semaphore,
    packs: Packs,
}

/// Upper limit of blocks that are sent at once, for all uploads. More would not make disks and networks faster, and a
/// single datanode accepts 128 before it reports that it is busy.
const SENDS_MAX: usize = 96;

/// The facts that the metanode needs to place blocks.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The bucket.
    pub bucket: String,
    /// The storage class, when it is not STANDARD.
    pub storage_class: Option<String>,
    /// The number of bytes of the object before this body, as far as known: block sizes grow with the object.
    pub begins_at: u64,
    /// The length of the body in bytes, if it is known.
    pub length: Option<u64>,
    /// The length in bytes that the client requests for the first blocks.
    pub block_size: Option<u64>,
}

impl std::fmt::Debug for DataPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataPath").field("budget", &self.parts.budget).finish_non_exhaustive()
    }
}

impl DataPath {
    /// A data path over these services.
    pub fn new(
        metadata: Arc<dyn Metadata>,
        blocks: Arc<dyn BlockConnector>,
        secret: ClusterSecret,
        env: Env,
        config: &DataConfig,
    ) -> Self {
        let budget = Budget::new(config);
        let parts = Parts {
            parking: Parking::new(env.clone(), budget.clone()),
            read_suspects: Suspects::new(env.clone()),
            write_suspects: Suspects::new(env.clone()),
            timeouts: config.timeouts.clone(),
            sends: Semaphore::new(SENDS_MAX),
            packs: Packs::default(),
            reads: Reads::new(metadata.clone(), env.clone()),
            metadata,
            blocks,
            secret,
            env,
            budget,
        };
        Self { commits: parts.metadata.clone(), parts: Arc::new(parts) }
    }

    /// The same data path, whose commits go through `commits`.
    pub(crate) fn committing_through(&self, commits: Arc<dyn Metadata>) -> Self {
        Self { parts: self.parts.clone(), commits }
    }

    /// The memory budgets.
    pub fn budget(&self) -> &Budget {
        &self.parts.budget
    }

    /// Stores a body on datanodes. When it returns, every block is on stable storage of at least `min_replicas` nodes,
    /// and the body has ended without an error. Commit it with [`StoredBlocks::commit_object`] or
    /// [`StoredBlocks::put_part`]. If the value is dropped before, its grants go back to the metanode, which deletes
    /// the blocks.
    ///
    /// # Errors
    /// The body's own error, or why it could not be stored.
    pub async fn write<S, E>(&self, placement: Placement, body: &mut S) -> Result<StoredBlocks, WriteError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    {
        upload::write(self.parts.clone(), self.commits.clone(), placement, body).await
    }

    /// Reads the bytes of `located.range`. The first of them are verified when it returns, so that an object that
    /// cannot be read gets an error response and not a body that breaks off.
    ///
    /// # Errors
    /// If no replica of the first block can be read.
    pub async fn read(&self, located: LocatedObject) -> Result<ObjectBody, DataError> {
        reader::open(self.parts.clone(), located).await
    }
}

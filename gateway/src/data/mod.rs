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
//! | `send` | one block on its way to enough datanodes |
//! | `stored_block` | a block that is on stable storage |
//! | `commit` | blocks that wait for their commit, and the commit |
//! | `rewrite` | a block that did not stay is written again |
//! | `reader` | the bytes of an object, in order |
//! | `reads` | which versions are being read: the metanode keeps those that are read for long |
//! | `download_resources` | what a download holds: memory and open replicas |
//! | `slow_clients` | downloads whose clients do not read give back what they hold |
//! | `replica` | the bytes of one block, from one replica: the check of each chunk |
//! | `suspects` | nodes that failed just now |
//! | `error` | what can go wrong, and what S3 says to it |
//!
//! Architecture invariant: no byte leaves [`ObjectBody`] that was not compared with the checksum which
//! the metanode recorded for its block; nothing waits long for memory while it holds more than a page of a
//! block that is not on its way to a datanode; and a download whose client does not read holds no more than a piece.

pub mod budget;
mod buffer;
mod commit;
pub mod config;
mod download_resources;
mod error;
mod fair;
mod grants;
mod lease;
pub mod owner;
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

use reads::Reads;
use slow_clients::Parking;
use suspects::Suspects;

/// Writes and reads the bytes of objects. Cheap to clone; clones share budget and experience.
#[derive(Clone)]
pub struct DataPath {
    parts: Arc<Parts>,
}

/// What uploads and downloads share.
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
}

/// Blocks of all uploads that are sent at once. More do not make disks and networks faster, and a lone
/// datanode takes 128 before it calls itself busy.
const SENDS_MAX: usize = 96;

/// What the metanode wants to know to place blocks.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The bucket.
    pub bucket: String,
    /// The storage class, when it is not STANDARD.
    pub storage_class: Option<String>,
    /// How many bytes of the object come before this body, as far as can be told: blocks grow with the object.
    pub begins_at: u64,
    /// The length of the body in bytes, if it is known.
    pub length: Option<u64>,
    /// The length in bytes that the client wants the first blocks to have, if it says so.
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
            reads: Reads::new(metadata.clone(), env.clone()),
            metadata,
            blocks,
            secret,
            env,
            budget,
        };
        Self { parts: Arc::new(parts) }
    }

    /// The memory that bodies use.
    pub fn budget(&self) -> &Budget {
        &self.parts.budget
    }

    /// Stores a body on datanodes. When this returns, every block is on stable storage of at least
    /// `min_replicas` nodes, and the body has ended without an error: commit it with
    /// [`StoredBlocks::commit_object`] or [`StoredBlocks::put_part`]. What is dropped before a commit is
    /// given back to the metanode, which deletes it.
    ///
    /// # Errors
    /// The body's own, or what kept it from being stored.
    pub async fn write<S, E>(&self, placement: Placement, body: &mut S) -> Result<StoredBlocks, WriteError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    {
        upload::write(self.parts.clone(), placement, body).await
    }

    /// The bytes of `located.range`. The first of them are at hand and verified when this returns, so that
    /// an object that cannot be read is answered with an error, and not with a broken body.
    ///
    /// # Errors
    /// When no replica of the first block can be read.
    pub async fn read(&self, located: LocatedObject) -> Result<ObjectBody, DataError> {
        reader::open(self.parts.clone(), located).await
    }
}

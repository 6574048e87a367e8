//! What is counted, and the statements of each kind of counter.

use std::fmt;

use cairn_protocol::id::NodeId;
use serde::{Deserialize, Serialize};

use crate::store::buckets::BucketId;
use crate::store::iam::HolderId;
use crate::store::sql::Query;
use crate::store::sql_values::{number, ordinal_of};
use crate::store::{Row, StoreError};

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Counter {
    /// The blocks that exist.
    Blocks,
    /// The replicas of a node, and the bytes of their blocks.
    Replicas(NodeId),
    /// The replicas that a node is to delete, and their bytes as far as they are known.
    Deletions(NodeId),
    /// The blocks in the repair queue with so many live replicas, that should have so many.
    Repairs {
        /// Live replicas.
        live: u32,
        /// Wanted replicas.
        replication: u32,
    },
    /// What a bucket has: versions, delete markers and uploads in progress, and the bytes of versions and parts.
    BucketUsage(BucketId),
    /// The same of what a user wrote, without delete markers.
    UserUsage(HolderId),
}

/// The statements of a kind of counter. Their last parameters are the counter's key, see [`Counter::bind`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Statements {
    /// Reads the counter as `things` and `bytes`.
    pub(super) read: &'static str,
    /// Adds `$1` things and `$2` bytes, which may be below 0, and returns the sums as `things` and `bytes`. Makes the row if
    /// there is none.
    pub(super) add: &'static str,
    /// Sets to 0 what is below.
    pub(super) raise: &'static str,
    /// Counts the rows themselves, as `things` and `bytes`.
    pub(super) count: &'static str,
}

const BLOCKS: Statements = Statements {
    read: "SELECT blocks AS things, 0 AS bytes FROM block_totals WHERE singleton = $1",
    add: "INSERT INTO block_totals (blocks, singleton) VALUES ($1, $3)
          ON CONFLICT (singleton) DO UPDATE SET blocks = block_totals.blocks + excluded.blocks
          RETURNING blocks AS things, 0 * CAST($2 AS BIGINT) AS bytes",
    raise: "UPDATE block_totals SET blocks = 0 WHERE singleton = $1 AND blocks < 0",
    count: "SELECT COUNT(*) AS things, 0 AS bytes FROM blocks WHERE $1 = 1",
};

const REPLICAS: Statements = Statements {
    read: "SELECT replicas AS things, bytes FROM node_totals WHERE node_id = $1",
    add: "INSERT INTO node_totals (replicas, bytes, node_id) VALUES ($1, $2, $3)
          ON CONFLICT (node_id) DO UPDATE SET replicas = node_totals.replicas + excluded.replicas,
              bytes = node_totals.bytes + excluded.bytes
          RETURNING replicas AS things, bytes",
    raise: "UPDATE node_totals SET replicas = CASE WHEN replicas < 0 THEN 0 ELSE replicas END,
                bytes = CASE WHEN bytes < 0 THEN 0 ELSE bytes END WHERE node_id = $1",
    count: concat!(
        "SELECT COUNT(*) AS things, CAST(COALESCE(SUM(blocks.length), 0) AS BIGINT) AS bytes
         FROM replicas LEFT JOIN blocks ON blocks.block_id = replicas.block_id WHERE replicas.node = ",
        ordinal_of!("$1")
    ),
};

const DELETIONS: Statements = Statements {
    read: "SELECT deletions AS things, deletion_bytes AS bytes FROM node_totals WHERE node_id = $1",
    add: "INSERT INTO node_totals (deletions, deletion_bytes, node_id) VALUES ($1, $2, $3)
          ON CONFLICT (node_id) DO UPDATE SET deletions = node_totals.deletions + excluded.deletions,
              deletion_bytes = node_totals.deletion_bytes + excluded.deletion_bytes
          RETURNING deletions AS things, deletion_bytes AS bytes",
    raise: "UPDATE node_totals SET deletions = CASE WHEN deletions < 0 THEN 0 ELSE deletions END,
                deletion_bytes = CASE WHEN deletion_bytes < 0 THEN 0 ELSE deletion_bytes END WHERE node_id = $1",
    count: concat!(
        "SELECT COUNT(*) AS things, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
         FROM deletions WHERE node = ",
        ordinal_of!("$1")
    ),
};

const REPAIRS: Statements = Statements {
    read: "SELECT repairs AS things, 0 AS bytes FROM repair_totals WHERE live = $1 AND replication = $2",
    add: "INSERT INTO repair_totals (repairs, live, replication) VALUES ($1, $3, $4)
          ON CONFLICT (live, replication) DO UPDATE SET repairs = repair_totals.repairs + excluded.repairs
          RETURNING repairs AS things, 0 * CAST($2 AS BIGINT) AS bytes",
    raise: "UPDATE repair_totals SET repairs = 0 WHERE live = $1 AND replication = $2 AND repairs < 0",
    count: "SELECT COUNT(*) AS things, 0 AS bytes FROM repairs WHERE live = $1 AND replication = $2",
};

impl fmt::Display for Counter {
    /// What it counts, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocks => f.write_str("blocks"),
            Self::Replicas(node) => write!(f, "replicas of node {node}"),
            Self::Deletions(node) => write!(f, "replicas that node {node} is to delete"),
            Self::Repairs { live, replication } => {
                write!(f, "blocks in the repair queue with {live} of {replication} replicas")
            }
            Self::BucketUsage(bucket) => write!(f, "objects of bucket number {}", bucket.0),
            Self::UserUsage(user) => write!(f, "objects of user number {}", user.0),
        }
    }
}

const BUCKET_USAGE: Statements = Statements {
    read: "SELECT objects AS things, bytes FROM bucket_usage WHERE bucket_id = $1",
    add: "INSERT INTO bucket_usage (objects, bytes, bucket_id) VALUES ($1, $2, $3)
          ON CONFLICT (bucket_id) DO UPDATE SET objects = bucket_usage.objects + excluded.objects,
              bytes = bucket_usage.bytes + excluded.bytes
          RETURNING objects AS things, bytes",
    raise: "UPDATE bucket_usage SET objects = CASE WHEN objects < 0 THEN 0 ELSE objects END,
                bytes = CASE WHEN bytes < 0 THEN 0 ELSE bytes END WHERE bucket_id = $1",
    count: "SELECT CAST(COALESCE(SUM(objects), 0) AS BIGINT) AS things,
                   CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
            FROM (SELECT COUNT(*) AS objects, SUM(length) AS bytes FROM versions WHERE bucket_id = $1
                  UNION ALL SELECT COUNT(*), 0 FROM uploads WHERE bucket_id = $1 AND completed_at IS NULL
                  UNION ALL SELECT 0, SUM(parts.length) FROM uploads
                      CROSS JOIN parts ON parts.upload_id = uploads.upload_id
                      WHERE uploads.bucket_id = $1 AND uploads.completed_at IS NULL) AS owned",
};

const USER_USAGE: Statements = Statements {
    read: "SELECT objects AS things, bytes FROM user_usage WHERE user_id = $1",
    add: "INSERT INTO user_usage (objects, bytes, user_id) VALUES ($1, $2, $3)
          ON CONFLICT (user_id) DO UPDATE SET objects = user_usage.objects + excluded.objects,
              bytes = user_usage.bytes + excluded.bytes
          RETURNING objects AS things, bytes",
    raise: "UPDATE user_usage SET objects = CASE WHEN objects < 0 THEN 0 ELSE objects END,
                bytes = CASE WHEN bytes < 0 THEN 0 ELSE bytes END WHERE user_id = $1",
    count: "SELECT CAST(COALESCE(SUM(objects), 0) AS BIGINT) AS things,
                   CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
            FROM (SELECT COUNT(*) AS objects, SUM(length) AS bytes FROM versions WHERE user_id = $1
                  UNION ALL SELECT COUNT(*), 0 FROM uploads WHERE user_id = $1 AND completed_at IS NULL
                  UNION ALL SELECT 0, SUM(length) FROM parts WHERE user_id = $1) AS written",
};

impl Counter {
    /// The counter of a row with the columns `live` and `replication`.
    pub(crate) fn of_repair(row: &Row) -> Result<Self, StoreError> {
        Ok(Self::Repairs { live: number(row, "live")?, replication: number(row, "replication")? })
    }

    /// The statements of its kind.
    pub(super) fn statements(self) -> Statements {
        match self {
            Self::Blocks => BLOCKS,
            Self::Replicas(_) => REPLICAS,
            Self::Deletions(_) => DELETIONS,
            Self::Repairs { .. } => REPAIRS,
            Self::BucketUsage(_) => BUCKET_USAGE,
            Self::UserUsage(_) => USER_USAGE,
        }
    }

    /// Binds its key to the next parameters of one of its statements.
    pub(super) fn bind(self, query: Query<'static>) -> Query<'static> {
        match self {
            // The only row.
            Self::Blocks => query.bind(1i64),
            Self::Replicas(node) | Self::Deletions(node) => query.bind(node.as_bytes().to_vec()),
            Self::Repairs { live, replication } => query.bind(i64::from(live)).bind(i64::from(replication)),
            Self::BucketUsage(bucket) => query.bind(bucket.0),
            Self::UserUsage(user) => query.bind(user.0),
        }
    }
}

//! Blocks that extents refer to.

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::NewExtent;
use cairn_protocol::warn_self;
use sqlx::Row as _;

use super::column::{id, number, to_number};
use super::{Connection, Row, StoreError};

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its CRC32C.
    pub(crate) crc32c: Crc32c,
    /// How many copies it should have.
    pub(crate) replication: u32,
}

impl Block {
    /// The block in a row of these columns.
    pub(super) fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            length: number(row, "length")?,
            crc32c: number(row, "crc32c")?,
            replication: number(row, "replication")?,
        })
    }
}

/// A block and who has a copy of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockCopies {
    /// The block.
    pub(crate) block: Block,
    /// Who has a copy, and whether it is good as far as is known.
    pub(crate) holders: Vec<(NodeId, bool)>,
}

/// Adds a block with one reference, and its replicas on these nodes. Answers `false` if it is there already.
pub(crate) async fn insert(
    tx: &mut Connection,
    new: &NewExtent,
    nodes: &[NodeId],
) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO blocks (block_id, length, crc32c, replication, refs) VALUES ($1, $2, $3, $4, 1)
         ON CONFLICT DO NOTHING",
    )
    .bind(&new.grant.block.as_bytes()[..])
    .bind(to_number(new.length))
    .bind(i64::from(new.crc32c))
    .bind(i64::from(new.grant.replication))
    .execute(&mut *tx)
    .await?
    .rows_affected()
        == 1;
    if inserted {
        for node in nodes {
            sqlx::query("INSERT INTO replicas (block_id, node_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(&new.grant.block.as_bytes()[..])
                .bind(&node.as_bytes()[..])
                .execute(&mut *tx)
                .await?;
        }
    }
    Ok(inserted)
}

/// A block and its copies; `None` if it does not exist.
pub(crate) async fn find(
    connection: &mut Connection,
    block: BlockId,
) -> Result<Option<BlockCopies>, StoreError> {
    let rows = sqlx::query(
        "SELECT blocks.length, blocks.crc32c, blocks.replication, replicas.node_id, replicas.state
         FROM blocks LEFT JOIN replicas ON replicas.block_id = blocks.block_id
         WHERE blocks.block_id = $1",
    )
    .bind(&block.as_bytes()[..])
    .fetch_all(connection)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let block = Block::from_row(first)?;
    let mut holders = Vec::with_capacity(rows.len());
    for row in &rows {
        // The row of a block without replicas has none.
        if row.try_get::<Option<&[u8]>, _>("node_id")?.is_some() {
            holders.push((id(row, "node_id")?, row.try_get::<i64, _>("state")? == 0));
        }
    }
    Ok(Some(BlockCopies { block, holders }))
}

/// Whether a block exists.
pub(crate) async fn exists(connection: &mut Connection, block: BlockId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM blocks WHERE block_id = $1")
        .bind(&block.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Up to `max` blocks behind `after`, in order.
pub(crate) async fn page(
    connection: &mut Connection,
    after: Option<BlockId>,
    max: u32,
) -> Result<Vec<BlockId>, StoreError> {
    // The empty string sorts before all ids.
    let after = after.map(|block| block.as_bytes().to_vec()).unwrap_or_default();
    let rows = sqlx::query("SELECT block_id FROM blocks WHERE block_id > $1 ORDER BY block_id LIMIT $2")
        .bind(after)
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| id(row, "block_id")).collect()
}

/// Takes a reference from a block. At the last one the block goes, and its replicas with it: answers
/// its length and who held it.
pub(crate) async fn drop_reference(
    tx: &mut Connection,
    block: BlockId,
) -> Result<Option<(u64, Vec<NodeId>)>, StoreError> {
    let row = sqlx::query("UPDATE blocks SET refs = refs - 1 WHERE block_id = $1 RETURNING refs, length")
        .bind(&block.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else {
        // Not worth stopping everything that comes behind it.
        warn_self!(%block, "an extent referred to a block that does not exist");
        return Ok(None);
    };
    if row.try_get::<i64, _>("refs")? > 0 {
        return Ok(None);
    }
    let rows = sqlx::query("DELETE FROM replicas WHERE block_id = $1 RETURNING node_id")
        .bind(&block.as_bytes()[..])
        .fetch_all(&mut *tx)
        .await?;
    for statement in ["DELETE FROM blocks WHERE block_id = $1", "DELETE FROM repairs WHERE block_id = $1"] {
        sqlx::query(statement).bind(&block.as_bytes()[..]).execute(&mut *tx).await?;
    }
    let holders = rows.iter().map(|row| id(row, "node_id")).collect::<Result<_, _>>()?;
    Ok(Some((number(&row, "length")?, holders)))
}

/// What a bucket wants of its blocks; `None` where the cluster's default holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BucketLayout {
    /// Copies.
    pub(crate) replication: Option<u32>,
    /// Largest length in bytes of an object's first blocks.
    pub(crate) block_size: Option<u64>,
}

/// What a bucket wants of its blocks; `None` if there is no such bucket.
pub(crate) async fn bucket_layout(
    connection: &mut Connection,
    bucket: &str,
) -> Result<Option<BucketLayout>, StoreError> {
    let row = sqlx::query("SELECT replication, block_size FROM buckets WHERE name = $1")
        .bind(bucket)
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        let replication: Option<i64> = row.try_get("replication")?;
        let block_size: Option<i64> = row.try_get("block_size")?;
        Ok(BucketLayout {
            replication: replication.and_then(|copies| u32::try_from(copies).ok()),
            block_size: block_size.and_then(|bytes| u64::try_from(bytes).ok()),
        })
    })
    .transpose()
}

/// The most copies that a bucket asks for.
pub(crate) async fn bucket_replication_max(connection: &mut Connection) -> Result<Option<u32>, StoreError> {
    let row =
        sqlx::query("SELECT MAX(replication) AS replication FROM buckets").fetch_one(connection).await?;
    let most: Option<i64> = row.try_get("replication")?;
    Ok(most.and_then(|copies| u32::try_from(copies).ok()))
}

/// Has a bucket want this of the blocks that are written from now on. Answers whether there is such a bucket.
pub(crate) async fn set_bucket_layout(
    tx: &mut Connection,
    bucket: &str,
    layout: BucketLayout,
) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE buckets SET replication = $2, block_size = $3 WHERE name = $1")
        .bind(bucket)
        .bind(layout.replication.map(i64::from))
        .bind(layout.block_size.map(to_number))
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

//! The table of blocks. Extents refer to them.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::NewExtent;

pub(crate) use super::rows::{Block, BlockReplicas, BucketLayout};

use super::buckets;
use super::counters::{Amount, Counter};
use super::hot::Known;
use super::sql_values::{id, number, to_number, to_time};
use super::{Connection, Row, StoreError, sql};

impl Block {
    /// Reads a block from a row that has the columns `length`, `crc32c` and `replication`.
    pub(super) fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            length: number(row, "length")?,
            crc32c: number(row, "crc32c")?,
            replication: number(row, "replication")?,
        })
    }
}

/// How many replicas one statement adds: those of nearly every block.
const NODES_PER_INSERT: usize = 4;

pub(crate) const INSERT_REPLICAS: &str = "INSERT INTO replicas (block_id, node)
     SELECT $1, ordinal FROM nodes WHERE node_id IN ($2, $3, $4, $5)
     ON CONFLICT DO NOTHING
     RETURNING (SELECT node_id FROM nodes WHERE nodes.ordinal = replicas.node) AS node_id";

/// Adds a block with one reference, and a replica on each of these nodes that is registered. Returns `false` if the block exists already.
pub(crate) async fn insert(
    tx: &mut Connection,
    new: &NewExtent,
    nodes: &[NodeId],
) -> Result<bool, StoreError> {
    let inserted = sql::query(
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
    if !inserted {
        return Ok(false);
    }
    tx.touched().block(new.grant.block);
    tx.deltas().add(Counter::Blocks, Amount::of(1, 0));
    for page in nodes.chunks(NODES_PER_INSERT) {
        // A short page repeats its last node, so that one prepared statement serves all lengths.
        let node = |index: usize| page.get(index).or(page.last()).map(|node| node.as_bytes().to_vec());
        let added = sql::query(INSERT_REPLICAS)
            .bind(&new.grant.block.as_bytes()[..])
            .bind(node(0))
            .bind(node(1))
            .bind(node(2))
            .bind(node(3))
            .fetch_all(&mut *tx)
            .await?;
        for row in &added {
            tx.deltas().add(Counter::Replicas(id(row, "node_id")?), Amount::of(1, new.length));
        }
    }
    Ok(true)
}

/// Adds a reference to a block that was inserted before, with this length and CRC32C. Returns `false` if there is no such block.
pub(crate) async fn refer_to(tx: &mut Connection, shared: &NewExtent) -> Result<bool, StoreError> {
    let done = sql::query(
        "UPDATE blocks SET refs = refs + 1 WHERE block_id = $1 AND length = $2 AND crc32c = $3 AND refs > 0",
    )
    .bind(&shared.grant.block.as_bytes()[..])
    .bind(to_number(shared.length))
    .bind(i64::from(shared.crc32c))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) const FIND: &str =
    "SELECT blocks.block_id, blocks.length, blocks.crc32c, blocks.replication, nodes.node_id, replicas.state
     FROM blocks LEFT JOIN replicas ON replicas.block_id = blocks.block_id
     LEFT JOIN nodes ON nodes.ordinal = replicas.node
     WHERE blocks.block_id = $1";

/// Finds a block and its replicas.
pub(crate) async fn find(
    connection: &mut Connection,
    block: BlockId,
) -> Result<Option<BlockReplicas>, StoreError> {
    let ticket = match connection.hot().map(|hot| hot.blocks().get(&block)) {
        Some(Known::Value(found)) => return Ok((*found).clone()),
        Some(Known::Nothing(ticket)) => Some(ticket),
        None => None,
    };
    let rows = sql::query(FIND).bind(&block.as_bytes()[..]).fetch_all(&mut *connection).await?;
    let found = copies_in(&rows)?.pop().map(|(_, copies)| copies);
    if let (Some(ticket), Some(hot)) = (ticket, connection.hot()) {
        hot.blocks().put(ticket, block, found.clone().into(), BLOCK_BYTES + rows.len() * HOLDER_BYTES);
    }
    Ok(found)
}

/// What a block takes in memory besides its replicas, in bytes.
const BLOCK_BYTES: usize = size_of::<BlockReplicas>() + 128;

/// What a replica takes in memory, in bytes.
const HOLDER_BYTES: usize = size_of::<(NodeId, bool)>();

/// Whether a block exists.
pub(crate) async fn exists(connection: &mut Connection, block: BlockId) -> Result<bool, StoreError> {
    let row = sql::query("SELECT 1 FROM blocks WHERE block_id = $1")
        .bind(&block.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Up to `max` ids of blocks after `after`, in order.
pub(crate) async fn page(
    connection: &mut Connection,
    after: Option<BlockId>,
    max: u32,
) -> Result<Vec<BlockId>, StoreError> {
    // The empty string sorts before all ids.
    let after = after.map(|block| block.as_bytes().to_vec()).unwrap_or_default();
    let rows = sql::query("SELECT block_id FROM blocks WHERE block_id > $1 ORDER BY block_id LIMIT $2")
        .bind(after)
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| id(row, "block_id")).collect()
}

pub(crate) const COPIES_PAGE: &str =
    "SELECT page.block_id, page.length, page.crc32c, page.replication, nodes.node_id, replicas.state
     FROM (SELECT block_id, length, crc32c, replication FROM blocks
           WHERE block_id > $1 ORDER BY block_id LIMIT $2) AS page
     LEFT JOIN replicas ON replicas.block_id = page.block_id
     LEFT JOIN nodes ON nodes.ordinal = replicas.node
     ORDER BY page.block_id";

/// Up to `max` blocks after `after`, in the order of their ids, each with all of its replicas.
pub(crate) async fn copies_page(
    connection: &mut Connection,
    after: Option<BlockId>,
    max: u32,
) -> Result<Vec<(BlockId, BlockReplicas)>, StoreError> {
    // The empty string sorts before all ids.
    let after = after.map(|block| block.as_bytes().to_vec()).unwrap_or_default();
    let rows = sql::query(COPIES_PAGE).bind(after).bind(i64::from(max)).fetch_all(connection).await?;
    copies_in(&rows)
}

/// Groups rows into blocks with their replicas. The rows of one block must follow each other.
pub(super) fn copies_in(rows: &[Row]) -> Result<Vec<(BlockId, BlockReplicas)>, StoreError> {
    let mut page: Vec<(BlockId, BlockReplicas)> = Vec::new();
    for row in rows {
        let block = id(row, "block_id")?;
        if page.last().is_none_or(|(last, _)| *last != block) {
            page.push((block, BlockReplicas { block: Block::from_row(row)?, holders: Vec::new() }));
        }
        if let Some((_, copies)) = page.last_mut() {
            copies.holders.extend(holder(row)?);
        }
    }
    Ok(page)
}

/// The node and state of the replica in a row. A block without replicas has one row without a node, and so has a replica whose node
/// has no row, which only damage makes.
fn holder(row: &Row) -> Result<Option<(NodeId, bool)>, StoreError> {
    if row.try_get::<Option<&[u8]>, _>("node_id")?.is_none() {
        return Ok(None);
    }
    Ok(Some((id(row, "node_id")?, row.try_get::<i64, _>("state")? == 0)))
}

/// The outcome of [`drop_unreferenced`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Unreferenced {
    /// Number of blocks that were removed.
    pub(crate) blocks: u64,
    /// By node: how many replicas of these blocks it has, and how many bytes they are.
    pub(crate) replicas: Vec<(NodeId, u64, u64)>,
}

/// The youngest of the blocks that lost their last reference in this transaction. The ids of blocks sort by time.
pub(crate) async fn youngest_unreferenced(tx: &mut Connection) -> Result<Option<BlockId>, StoreError> {
    let row = sql::query("SELECT block_id FROM blocks WHERE refs < 0 ORDER BY block_id DESC LIMIT 1")
        .fetch_optional(tx)
        .await?;
    row.map(|row| id(&row, "block_id")).transpose()
}

/// By node: the replicas of blocks without references, and those of them that are not queued for deletion yet.
pub(crate) const COUNT_UNREFERENCED: &str = "SELECT nodes.node_id, gone.replicas, gone.bytes, gone.deletions, gone.deletion_bytes
     FROM (SELECT replicas.node, COUNT(*) AS replicas, CAST(SUM(blocks.length) AS BIGINT) AS bytes,
               CAST(SUM(CASE WHEN deletions.block_id IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS deletions,
               CAST(SUM(CASE WHEN deletions.block_id IS NULL THEN blocks.length ELSE 0 END) AS BIGINT) AS deletion_bytes
           FROM blocks CROSS JOIN replicas
           LEFT JOIN deletions ON deletions.node = replicas.node AND deletions.block_id = replicas.block_id
           WHERE blocks.refs < 0 AND replicas.block_id = blocks.block_id GROUP BY replicas.node) AS gone
     CROSS JOIN nodes WHERE nodes.ordinal = gone.node";

pub(crate) const QUEUE_UNREFERENCED: &str = "INSERT INTO deletions (node, block_id, queued_at, bytes)
     SELECT replicas.node, replicas.block_id, $1, blocks.length FROM blocks CROSS JOIN replicas
     WHERE blocks.refs < 0 AND replicas.block_id = blocks.block_id
     ON CONFLICT DO NOTHING";

/// Removes the blocks that lost their last reference in this transaction, and queues their replicas for deletion. It
/// runs a fixed number of statements, however many blocks there are, because other mutations wait for the writer
/// meanwhile.
pub(crate) async fn drop_unreferenced(
    tx: &mut Connection,
    now: Timestamp,
) -> Result<Unreferenced, StoreError> {
    tx.touched().all_blocks();
    let replicas = queue_unreferenced(tx, now).await?;
    let repairs = sql::query(
        "DELETE FROM repairs WHERE block_id IN (SELECT block_id FROM blocks WHERE refs < 0)
         RETURNING live, replication",
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in &repairs {
        tx.deltas().take_off(Counter::of_repair(row)?, Amount::of(1, 0));
    }
    let blocks = sql::query("DELETE FROM blocks WHERE refs < 0").execute(&mut *tx).await?.rows_affected();
    tx.deltas().take_off(Counter::Blocks, Amount::of(blocks, 0));
    Ok(Unreferenced { blocks, replicas })
}

/// Moves the replicas of blocks without references to the queue of deletions. Returns them by node, with their bytes.
async fn queue_unreferenced(
    tx: &mut Connection,
    now: Timestamp,
) -> Result<Vec<(NodeId, u64, u64)>, StoreError> {
    let rows = sql::query(COUNT_UNREFERENCED).fetch_all(&mut *tx).await?;
    sql::query(QUEUE_UNREFERENCED).bind(to_time(now)).execute(&mut *tx).await?;
    sql::query("DELETE FROM replicas WHERE block_id IN (SELECT block_id FROM blocks WHERE refs < 0)")
        .execute(&mut *tx)
        .await?;
    let mut replicas = Vec::with_capacity(rows.len());
    for row in &rows {
        let (node, count, bytes) = (id(row, "node_id")?, number(row, "replicas")?, number(row, "bytes")?);
        let queued = Amount::of(number(row, "deletions")?, number(row, "deletion_bytes")?);
        tx.deltas().take_off(Counter::Replicas(node), Amount::of(count, bytes));
        tx.deltas().add(Counter::Deletions(node), queued);
        replicas.push((node, count, bytes));
    }
    Ok(replicas)
}

/// A bucket's settings for new blocks; `None` if there is no such bucket.
pub(crate) async fn bucket_layout(
    connection: &mut Connection,
    bucket: &str,
) -> Result<Option<BucketLayout>, StoreError> {
    Ok(buckets::look_up(connection, bucket).await?.map(|found| found.layout))
}

/// The largest replication that is set for a bucket.
pub(crate) async fn bucket_replication_max(connection: &mut Connection) -> Result<Option<u32>, StoreError> {
    let row = sql::query("SELECT MAX(replication) AS replication FROM buckets").fetch_one(connection).await?;
    let most: Option<i64> = row.try_get("replication")?;
    Ok(most.and_then(|copies| u32::try_from(copies).ok()))
}

/// Sets the layout of the blocks that are written to a bucket from now on. Returns whether the bucket exists.
pub(crate) async fn set_bucket_layout(
    tx: &mut Connection,
    bucket: &str,
    layout: BucketLayout,
) -> Result<bool, StoreError> {
    tx.touched().buckets();
    let done = sql::query("UPDATE buckets SET replication = $2, block_size = $3 WHERE name = $1")
        .bind(bucket)
        .bind(layout.replication.map(i64::from))
        .bind(layout.block_size.map(to_number))
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

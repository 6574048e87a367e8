//! Which node has a replica of which block.

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::id::{BlockId, NodeId};

use super::blocks::{BlockReplicas, copies_in};
use super::counters::{Amount, Counter};
use super::nodes::NodeOrdinal;
use super::sql_values::{id, number, ordinal_of};
use super::{Connection, StoreError, sql};

/// A replica that a node should have according to SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedReplica {
    /// The block.
    pub(crate) block: BlockId,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its CRC32C.
    pub(crate) crc32c: Crc32c,
    /// Whether no report said that it is corrupt.
    pub(crate) good: bool,
    /// Whether the block has more replicas, good or corrupt, than its replication.
    pub(crate) surplus: bool,
}

/// The length of the block of a row of `replicas`; 0 if the block does not exist.
macro_rules! length_of_block {
    () => {
        "COALESCE((SELECT length FROM blocks WHERE blocks.block_id = replicas.block_id), 0) AS bytes"
    };
}

/// Adds a good replica. A replica that was marked corrupt becomes good.
pub(crate) async fn add(tx: &mut Connection, block: BlockId, node: NodeId) -> Result<(), StoreError> {
    if insert(tx, block, node).await? {
        return Ok(());
    }
    tx.touched().block(block);
    sql::query(concat!(
        "UPDATE replicas SET state = 0 WHERE state <> 0 AND block_id = $1 AND node = ",
        ordinal_of!("$2")
    ))
    .bind(&block.as_bytes()[..])
    .bind(&node.as_bytes()[..])
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a good replica, unless there is a row already; that keeps its state.
pub(crate) async fn add_if_absent(
    tx: &mut Connection,
    block: BlockId,
    node: NodeId,
) -> Result<(), StoreError> {
    insert(tx, block, node).await.map(drop)
}

/// Adds a good replica. Returns `false` if there is a row already, or no such node.
async fn insert(tx: &mut Connection, block: BlockId, node: NodeId) -> Result<bool, StoreError> {
    let row = sql::query(concat!(
        "INSERT INTO replicas (block_id, node) SELECT $1, ordinal FROM nodes WHERE node_id = $2
         ON CONFLICT DO NOTHING RETURNING ",
        length_of_block!()
    ))
    .bind(&block.as_bytes()[..])
    .bind(&node.as_bytes()[..])
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(false) };
    tx.touched().block(block);
    tx.deltas().add(Counter::Replicas(node), Amount::of(1, number(&row, "bytes")?));
    Ok(true)
}

/// Removes a replica. Returns whether it was listed.
pub(crate) async fn remove(tx: &mut Connection, block: BlockId, node: NodeId) -> Result<bool, StoreError> {
    let row = sql::query(concat!(
        "DELETE FROM replicas WHERE block_id = $1 AND node = ",
        ordinal_of!("$2"),
        " RETURNING ",
        length_of_block!()
    ))
    .bind(&block.as_bytes()[..])
    .bind(&node.as_bytes()[..])
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(false) };
    tx.touched().block(block);
    tx.deltas().take_off(Counter::Replicas(node), Amount::of(1, number(&row, "bytes")?));
    Ok(true)
}

/// Removes a replica whose node does not exist. No counter counts it. Returns whether there was one.
pub(crate) async fn remove_without_node(
    tx: &mut Connection,
    block: BlockId,
    node: NodeOrdinal,
) -> Result<bool, StoreError> {
    tx.touched().block(block);
    let removed = sql::query(
        "DELETE FROM replicas WHERE block_id = $1 AND node = $2
           AND NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.ordinal = replicas.node)",
    )
    .bind(&block.as_bytes()[..])
    .bind(node.0)
    .execute(tx)
    .await?;
    Ok(removed.rows_affected() > 0)
}

/// Marks a replica as corrupt. Returns whether it was good before.
pub(crate) async fn mark_bad(tx: &mut Connection, block: BlockId, node: NodeId) -> Result<bool, StoreError> {
    tx.touched().block(block);
    let changed = sql::query(concat!(
        "UPDATE replicas SET state = 1 WHERE state = 0 AND block_id = $1 AND node = ",
        ordinal_of!("$2")
    ))
    .bind(&block.as_bytes()[..])
    .bind(&node.as_bytes()[..])
    .execute(tx)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// A range of block ids: after `after`, up to and with `through`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRange {
    /// The id before the range; `None` for a range from the beginning.
    pub(crate) after: Option<BlockId>,
    /// The last id of the range; `None` for a range to the end.
    pub(crate) through: Option<BlockId>,
}

impl BlockRange {
    /// The bounds as values to compare a column with. Ids have 16 bytes: the empty string sorts before all of them, 17
    /// bytes of ones after all.
    pub(super) fn bounds(&self) -> (Vec<u8>, Vec<u8>) {
        (
            self.after.map(|block| block.as_bytes().to_vec()).unwrap_or_default(),
            self.through.map_or_else(|| vec![0xff; 17], |block| block.as_bytes().to_vec()),
        )
    }
}

pub(crate) const EXPECTED: &str = concat!(
    "SELECT replicas.block_id, replicas.state, blocks.length, blocks.crc32c,
            (SELECT COUNT(*) FROM replicas AS others WHERE others.block_id = replicas.block_id)
                > blocks.replication AS surplus
     FROM replicas JOIN blocks ON blocks.block_id = replicas.block_id
     WHERE replicas.node = ",
    ordinal_of!("$1"),
    " AND replicas.block_id > $2 AND replicas.block_id <= $3
     ORDER BY replicas.block_id LIMIT $4"
);

/// The first `max` replicas that a node should have in a range, in order.
pub(crate) async fn expected(
    connection: &mut Connection,
    node: NodeId,
    range: BlockRange,
    max: u32,
) -> Result<Vec<ExpectedReplica>, StoreError> {
    let (after, through) = range.bounds();
    let rows = sql::query(EXPECTED)
        .bind(&node.as_bytes()[..])
        .bind(after)
        .bind(through)
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ExpectedReplica {
                block: id(row, "block_id")?,
                length: number(row, "length")?,
                crc32c: number(row, "crc32c")?,
                good: row.try_get::<i64, _>("state")? == 0,
                surplus: row.try_get("surplus")?,
            })
        })
        .collect()
}

/// Up to `max` blocks of which a node has a replica, after `after`, in order.
pub(crate) async fn blocks_of(
    connection: &mut Connection,
    node: NodeId,
    after: Option<BlockId>,
    max: u32,
) -> Result<Vec<BlockId>, StoreError> {
    let (after, _) = BlockRange { after, through: None }.bounds();
    let rows = sql::query(concat!(
        "SELECT block_id FROM replicas WHERE node = ",
        ordinal_of!("$1"),
        " AND block_id > $2 ORDER BY block_id LIMIT $3"
    ))
    .bind(&node.as_bytes()[..])
    .bind(after)
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| id(row, "block_id")).collect()
}

pub(crate) const REPLICAS_OF: &str = concat!(
    "SELECT page.block_id, blocks.length, blocks.crc32c, blocks.replication,
            nodes.node_id, replicas.state
     FROM (SELECT block_id FROM replicas WHERE node = ",
    ordinal_of!("$1"),
    " AND block_id > $2 ORDER BY block_id LIMIT $3) AS page
     JOIN blocks ON blocks.block_id = page.block_id
     JOIN replicas ON replicas.block_id = page.block_id
     LEFT JOIN nodes ON nodes.ordinal = replicas.node
     ORDER BY page.block_id"
);

/// Up to `max` blocks of which a node has a replica, after `after`, in order, each with all of its replicas.
pub(crate) async fn replicas_of(
    connection: &mut Connection,
    node: NodeId,
    after: Option<BlockId>,
    max: u32,
) -> Result<Vec<(BlockId, BlockReplicas)>, StoreError> {
    let (after, _) = BlockRange { after, through: None }.bounds();
    let rows = sql::query(REPLICAS_OF)
        .bind(&node.as_bytes()[..])
        .bind(after)
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    copies_in(&rows)
}

/// The number of replicas of a node after `after`.
pub(crate) async fn count_after(
    connection: &mut Connection,
    node: NodeId,
    after: Option<BlockId>,
) -> Result<u64, StoreError> {
    let (after, _) = BlockRange { after, through: None }.bounds();
    let row = sql::query(concat!(
        "SELECT COUNT(*) AS replicas FROM replicas WHERE node = ",
        ordinal_of!("$1"),
        " AND block_id > $2"
    ))
    .bind(&node.as_bytes()[..])
    .bind(after)
    .fetch_one(connection)
    .await?;
    number(&row, "replicas")
}

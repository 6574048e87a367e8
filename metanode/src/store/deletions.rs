//! The queue of replicas to be deleted. A row stays until the node reports that it deleted the replica.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId};

use super::counters::{Amount, Counter};
use super::replicas::BlockRange;
use super::sql_values::{id, number, ordinal_of, to_number, to_time};
use super::{Connection, StoreError, sql};

/// Queues a replica of `bytes` (0 if unknown) for deletion. Returns whether it was not queued before. For a node that never
/// registered nothing is queued: if it comes, it reports the replica.
pub(crate) async fn queue(
    tx: &mut Connection,
    node: NodeId,
    block: BlockId,
    bytes: u64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let queued = sql::query(
        "INSERT INTO deletions (node, block_id, queued_at, bytes)
         SELECT ordinal, $2, $3, $4 FROM nodes WHERE node_id = $1
         ON CONFLICT DO NOTHING",
    )
    .bind(&node.as_bytes()[..])
    .bind(&block.as_bytes()[..])
    .bind(to_time(now))
    .bind(to_number(bytes))
    .execute(&mut *tx)
    .await?;
    let is_new = queued.rows_affected() > 0;
    if is_new {
        tx.deltas().add(Counter::Deletions(node), Amount::of(1, bytes));
    }
    Ok(is_new)
}

/// Whether a replica is queued for deletion.
pub(crate) async fn is_queued(
    connection: &mut Connection,
    node: NodeId,
    block: BlockId,
) -> Result<bool, StoreError> {
    let row =
        sql::query(concat!("SELECT 1 FROM deletions WHERE block_id = $2 AND node = ", ordinal_of!("$1")))
            .bind(&node.as_bytes()[..])
            .bind(&block.as_bytes()[..])
            .fetch_optional(connection)
            .await?;
    Ok(row.is_some())
}

/// How many nodes one statement looks up.
const NODES_PER_READ: usize = 4;

pub(crate) const ANY_QUEUED: &str = "SELECT 1 FROM deletions WHERE block_id = $1
       AND node IN (SELECT ordinal FROM nodes WHERE node_id IN ($2, $3, $4, $5)) LIMIT 1";

/// Whether a replica of this block is queued for deletion on one of these nodes.
pub(crate) async fn any_queued(
    connection: &mut Connection,
    block: BlockId,
    nodes: &[NodeId],
) -> Result<bool, StoreError> {
    for page in nodes.chunks(NODES_PER_READ) {
        // A short page repeats its last node, so that one prepared statement serves all lengths.
        let node = |index: usize| page.get(index).or(page.last()).map(|node| node.as_bytes().to_vec());
        let row = sql::query(ANY_QUEUED)
            .bind(&block.as_bytes()[..])
            .bind(node(0))
            .bind(node(1))
            .bind(node(2))
            .bind(node(3))
            .fetch_optional(&mut *connection)
            .await?;
        if row.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes a replica that its node deleted from the queue. Returns its bytes if it was queued.
pub(crate) async fn done(
    tx: &mut Connection,
    node: NodeId,
    block: BlockId,
) -> Result<Option<u64>, StoreError> {
    let row = sql::query(concat!(
        "DELETE FROM deletions WHERE block_id = $2 AND node = ",
        ordinal_of!("$1"),
        " RETURNING bytes"
    ))
    .bind(&node.as_bytes()[..])
    .bind(&block.as_bytes()[..])
    .fetch_optional(&mut *tx)
    .await?;
    let bytes = row.map(|row| number(&row, "bytes")).transpose()?;
    if let Some(bytes) = bytes {
        tx.deltas().take_off(Counter::Deletions(node), Amount::of(1, bytes));
    }
    Ok(bytes)
}

/// Removes up to `max` of a node's replicas from the queue; returns how many it removed.
pub(crate) async fn forget(tx: &mut Connection, node: NodeId, max: u32) -> Result<u64, StoreError> {
    let counted = sql::query(concat!(
        "SELECT COUNT(*) AS replicas, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
         FROM (SELECT bytes FROM deletions WHERE node = ",
        ordinal_of!("$1"),
        " ORDER BY block_id LIMIT $2) AS first"
    ))
    .bind(&node.as_bytes()[..])
    .bind(i64::from(max))
    .fetch_one(&mut *tx)
    .await?;
    let forgotten = number(&counted, "replicas")?;
    sql::query(concat!(
        "DELETE FROM deletions WHERE node = ",
        ordinal_of!("$1"),
        " AND block_id IN (SELECT block_id FROM deletions WHERE node = ",
        ordinal_of!("$1"),
        " ORDER BY block_id LIMIT $2)"
    ))
    .bind(&node.as_bytes()[..])
    .bind(i64::from(max))
    .execute(&mut *tx)
    .await?;
    tx.deltas().take_off(Counter::Deletions(node), Amount::of(forgotten, number(&counted, "bytes")?));
    Ok(forgotten)
}

/// The first `max` replicas in a range that are queued for deletion on a node.
pub(crate) async fn page(
    connection: &mut Connection,
    node: NodeId,
    range: BlockRange,
    max: u32,
) -> Result<Vec<BlockId>, StoreError> {
    let (after, through) = range.bounds();
    let rows = sql::query(concat!(
        "SELECT block_id FROM deletions WHERE node = ",
        ordinal_of!("$1"),
        " AND block_id > $2 AND block_id <= $3 ORDER BY block_id LIMIT $4"
    ))
    .bind(&node.as_bytes()[..])
    .bind(after)
    .bind(through)
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| id(row, "block_id")).collect()
}

/// Whether no replica is queued on any node.
pub(crate) async fn is_empty(connection: &mut Connection) -> Result<bool, StoreError> {
    Ok(sql::query("SELECT 1 FROM deletions LIMIT 1").fetch_optional(connection).await?.is_none())
}

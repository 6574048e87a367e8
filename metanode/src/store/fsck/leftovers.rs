//! What fsck reads of blocks, replicas, and the queues of what is to be removed.

use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::metadata::ListId;

use super::bytes16;
use crate::store::nodes::NodeOrdinal;
use crate::store::sql_values::{id, number, optional_id, to_number};
use crate::store::{Connection, StoreError, sql};

/// A block or list, and how many rows refer to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Referred<T> {
    /// The block or list.
    pub(crate) target: T,
    /// The count of references in its own row.
    pub(crate) refs: i64,
    /// The number of versions, parts, retired ones of both, and entries of lists that do refer to it.
    pub(crate) rows: i64,
}

/// A replica, and whether its block and node exist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckedReplica {
    /// The block.
    pub(crate) block: BlockId,
    /// The number of its node.
    pub(crate) ordinal: NodeOrdinal,
    /// The node; `None` if it does not exist.
    pub(crate) node: Option<NodeId>,
    /// Whether the block exists.
    pub(crate) has_block: bool,
}

/// The references of a page of blocks are counted by one pass over all rows that can refer to them, because an index from blocks to
/// these rows would cost each write more than a check now and then costs.
pub(crate) const BLOCKS: &str =
    "WITH page AS (SELECT block_id, refs FROM blocks WHERE block_id > $1 ORDER BY block_id LIMIT $2),
          bounds AS (SELECT MIN(block_id) AS low, MAX(block_id) AS high FROM page)
     SELECT page.block_id, page.refs, COUNT(referring.block_id) AS found
     FROM page LEFT JOIN
         (SELECT block_id FROM versions, bounds WHERE block_id >= low AND block_id <= high
          UNION ALL SELECT block_id FROM list_entries, bounds WHERE block_id >= low AND block_id <= high
          UNION ALL SELECT block_id FROM parts, bounds WHERE block_id >= low AND block_id <= high
          UNION ALL SELECT block_id FROM retired, bounds WHERE block_id >= low AND block_id <= high
         ) AS referring ON referring.block_id = page.block_id
     GROUP BY page.block_id, page.refs ORDER BY page.block_id";

/// Up to `max` blocks after `after`, each with its counts of references.
pub(crate) async fn blocks(
    connection: &mut Connection,
    after: Option<BlockId>,
    max: u32,
) -> Result<Vec<Referred<BlockId>>, StoreError> {
    let after = after.map(|block| block.as_bytes().to_vec()).unwrap_or_default();
    let rows = sql::query(BLOCKS).bind(after).bind(i64::from(max)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Referred {
                target: id(row, "block_id")?,
                refs: row.try_get("refs")?,
                rows: row.try_get("found")?,
            })
        })
        .collect()
}

/// The same of lists.
pub(crate) const LISTS: &str =
    "WITH page AS (SELECT list_id, refs FROM extent_lists WHERE list_id > $1 ORDER BY list_id LIMIT $2),
          bounds AS (SELECT MIN(list_id) AS low, MAX(list_id) AS high FROM page)
     SELECT page.list_id, page.refs, COUNT(referring.list_id) AS found
     FROM page LEFT JOIN
         (SELECT list_id FROM versions, bounds WHERE list_id >= low AND list_id <= high
          UNION ALL SELECT child FROM list_entries, bounds WHERE child >= low AND child <= high
          UNION ALL SELECT list_id FROM parts, bounds WHERE list_id >= low AND list_id <= high
          UNION ALL SELECT list_id FROM retired, bounds WHERE list_id >= low AND list_id <= high
         ) AS referring ON referring.list_id = page.list_id
     GROUP BY page.list_id, page.refs ORDER BY page.list_id";

/// Up to `max` lists after `after`, each with its counts of references.
pub(crate) async fn lists(
    connection: &mut Connection,
    after: Option<ListId>,
    max: u32,
) -> Result<Vec<Referred<ListId>>, StoreError> {
    let rows = sql::query(LISTS)
        .bind(after.map_or(-1, |list| to_number(list.0)))
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Referred {
                target: ListId(number(row, "list_id")?),
                refs: row.try_get("refs")?,
                rows: row.try_get("found")?,
            })
        })
        .collect()
}

/// Corrects a block's reference count, if rows refer to it. A block without references stays unchanged, because with
/// a count of 0 the block would be removed, and a check must not delete data.
pub(crate) async fn recount_block(tx: &mut Connection, block: BlockId) -> Result<bool, StoreError> {
    let found = sql::query(
        "SELECT (SELECT COUNT(*) FROM versions WHERE block_id = $1)
              + (SELECT COUNT(*) FROM list_entries WHERE block_id = $1)
              + (SELECT COUNT(*) FROM parts WHERE block_id = $1)
              + (SELECT COUNT(*) FROM retired WHERE block_id = $1) AS found",
    )
    .bind(&block.as_bytes()[..])
    .fetch_one(&mut *tx)
    .await?;
    let found: i64 = found.try_get("found")?;
    let done = sql::query("UPDATE blocks SET refs = $2 WHERE block_id = $1 AND $2 > 0")
        .bind(&block.as_bytes()[..])
        .bind(found)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The same for a list.
pub(crate) async fn recount_list(tx: &mut Connection, list: ListId) -> Result<bool, StoreError> {
    let found = sql::query(
        "SELECT (SELECT COUNT(*) FROM versions WHERE list_id = $1)
              + (SELECT COUNT(*) FROM list_entries WHERE child = $1)
              + (SELECT COUNT(*) FROM parts WHERE list_id = $1)
              + (SELECT COUNT(*) FROM retired WHERE list_id = $1) AS found",
    )
    .bind(to_number(list.0))
    .fetch_one(&mut *tx)
    .await?;
    let found: i64 = found.try_get("found")?;
    let done = sql::query("UPDATE extent_lists SET refs = $2 WHERE list_id = $1 AND $2 > 0")
        .bind(to_number(list.0))
        .bind(found)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(crate) const REPLICAS: &str =
    "SELECT page.block_id, page.node, blocks.block_id AS known_block, nodes.node_id
     FROM (SELECT block_id, node FROM replicas WHERE (block_id, node) > ($1, $2)
           ORDER BY block_id, node LIMIT $3) AS page
     LEFT JOIN blocks ON blocks.block_id = page.block_id
     LEFT JOIN nodes ON nodes.ordinal = page.node
     ORDER BY page.block_id, page.node";

/// Up to `max` replicas after `after`, and whether their blocks and nodes exist.
pub(crate) async fn replicas(
    connection: &mut Connection,
    after: Option<(BlockId, NodeOrdinal)>,
    max: u32,
) -> Result<Vec<CheckedReplica>, StoreError> {
    let (block, node) =
        after.map_or_else(|| (Vec::new(), 0), |(block, node)| (block.as_bytes().to_vec(), node.0));
    let rows = sql::query(REPLICAS).bind(block).bind(node).bind(i64::from(max)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(CheckedReplica {
                block: id(row, "block_id")?,
                ordinal: NodeOrdinal(row.try_get("node")?),
                node: optional_id(row, "node_id")?,
                has_block: bytes16(row, "known_block")?.is_some(),
            })
        })
        .collect()
}

/// Counts up to `max` queued deletions after `after`. Returns how many there were, and the last of them if there may be
/// more.
pub(crate) async fn count_deletions(
    connection: &mut Connection,
    after: Option<(NodeOrdinal, BlockId)>,
    max: u32,
) -> Result<(u64, Option<(NodeOrdinal, BlockId)>), StoreError> {
    let (node, block) =
        after.map_or_else(|| (0, Vec::new()), |(node, block)| (node.0, block.as_bytes().to_vec()));
    let last = sql::query(
        "SELECT node, block_id FROM deletions WHERE (node, block_id) > ($1, $2)
         ORDER BY node, block_id LIMIT 1 OFFSET $3",
    )
    .bind(node)
    .bind(&block)
    .bind(i64::from(max) - 1)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(last) = last {
        let node = NodeOrdinal(last.try_get("node")?);
        return Ok((u64::from(max), Some((node, id(&last, "block_id")?))));
    }
    let row = sql::query("SELECT COUNT(*) AS queued FROM deletions WHERE (node, block_id) > ($1, $2)")
        .bind(node)
        .bind(block)
        .fetch_one(connection)
        .await?;
    Ok((number(&row, "queued")?, None))
}

/// Counts up to `max` retired versions and parts after `after`. Returns how many there were, and the last of them if there
/// may be more.
pub(crate) async fn count_garbage(
    connection: &mut Connection,
    after: Option<[u8; 16]>,
    max: u32,
) -> Result<(u64, Option<[u8; 16]>), StoreError> {
    let after = after.map(|owner| owner.to_vec()).unwrap_or_default();
    let last =
        sql::query("SELECT owner_id FROM retired WHERE owner_id > $1 ORDER BY owner_id LIMIT 1 OFFSET $2")
            .bind(&after)
            .bind(i64::from(max) - 1)
            .fetch_optional(&mut *connection)
            .await?;
    if let Some(last) = last {
        return Ok((u64::from(max), bytes16(&last, "owner_id")?));
    }
    let row = sql::query("SELECT COUNT(*) AS queued FROM retired WHERE owner_id > $1")
        .bind(after)
        .fetch_one(connection)
        .await?;
    Ok((number(&row, "queued")?, None))
}

/// The number of deleted buckets that still have uploads.
pub(crate) async fn count_deleted_buckets(connection: &mut Connection) -> Result<u64, StoreError> {
    let row = sql::query("SELECT COUNT(*) AS buckets FROM deleted_buckets").fetch_one(connection).await?;
    number(&row, "buckets")
}

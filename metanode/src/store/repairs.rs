//! The repair queue: blocks that have too few replicas, too many, or corrupt ones.

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::Content;

use super::counters::{Amount, Counter};
use super::lists::{self, ContentColumns};
use super::sql_values::{id, number, text, time, to_time};
use super::{Connection, StoreError, sql};

/// A place in the queue. Blocks with the fewest live replicas come first, and among those the ones that wait longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedRepair {
    /// Good replicas on nodes that were not dead when the block was last examined.
    pub(crate) live: u32,
    /// When it was queued.
    pub(crate) queued_at: Timestamp,
    /// The block.
    pub(crate) block: BlockId,
}

/// Queues a block that has `live` good replicas where there should be `replication`. Returns whether it was not queued
/// before; a block that was queued keeps its time.
pub(crate) async fn queue(
    tx: &mut Connection,
    block: BlockId,
    live: u32,
    replication: u32,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let queued = sql::query("SELECT live, replication FROM repairs WHERE block_id = $1")
        .bind(&block.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    let before = queued.as_ref().map(Counter::of_repair).transpose()?;
    let counter = Counter::Repairs { live, replication };
    if before == Some(counter) {
        return Ok(false);
    }
    sql::query(
        "INSERT INTO repairs (block_id, live, replication, queued_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (block_id) DO UPDATE SET live = excluded.live, replication = excluded.replication",
    )
    .bind(&block.as_bytes()[..])
    .bind(i64::from(live))
    .bind(i64::from(replication))
    .bind(to_time(now))
    .execute(&mut *tx)
    .await?;
    if let Some(before) = before {
        tx.deltas().take_off(before, Amount::of(1, 0));
    }
    tx.deltas().add(counter, Amount::of(1, 0));
    Ok(before.is_none())
}

/// The block of a single extent, or all blocks of a list. An entry of a lower list shows some of its bytes: those from `low` on and
/// below `high`.
macro_rules! blocks_of_content {
    () => {
        "(WITH RECURSIVE reached (list_id, low, high) AS (
              SELECT $2, CAST(0 AS BIGINT), $5
              UNION ALL
              SELECT child, start + CASE WHEN low > place THEN low - place ELSE 0 END,
                     start + CASE WHEN high - place < length THEN high - place ELSE length END
              FROM reached JOIN list_entries ON list_entries.list_id = reached.list_id
              WHERE child IS NOT NULL AND place < high AND place + length > low)
          SELECT $1 AS block_id
          UNION ALL
          SELECT block_id FROM reached JOIN list_entries ON list_entries.list_id = reached.list_id
          WHERE block_id IS NOT NULL AND place < high AND place + length > low)"
    };
}

/// The list of a version, and the lists below it, down to those that something else refers to.
macro_rules! own_lists {
    () => {
        "(WITH RECURSIVE own (list_id) AS (
              SELECT list_id FROM extent_lists WHERE list_id = $2 AND refs = 1
              UNION
              SELECT list_entries.child FROM own JOIN list_entries ON list_entries.list_id = own.list_id
              JOIN extent_lists ON extent_lists.list_id = list_entries.child
              WHERE extent_lists.refs = 1)
          SELECT list_id FROM own) AS own_lists"
    };
}

/// The block of a single extent, or the blocks of the version's [`own_lists`].
macro_rules! own_blocks {
    () => {
        concat!(
            "(SELECT $1 AS block_id UNION ALL
              SELECT list_entries.block_id FROM ",
            own_lists!(),
            " JOIN list_entries ON list_entries.list_id = own_lists.list_id
              WHERE list_entries.block_id IS NOT NULL) AS own_blocks"
        )
    };
}

/// Raises the replication of the blocks of a version or part to at least `wanted`, and queues the blocks that had less. Returns
/// those blocks. It runs a fixed number of statements, however many blocks there are, because other mutations wait for the
/// writer meanwhile; and for a list whose replication is known to suffice, none.
pub(crate) async fn raise_replication(
    tx: &mut Connection,
    content: Content,
    wanted: u32,
    now: Timestamp,
) -> Result<Vec<BlockId>, StoreError> {
    if let Content::List { list } = content
        && lists::find(tx, list).await?.is_some_and(|list| list.replication >= wanted)
    {
        return Ok(Vec::new());
    }
    let ContentColumns { block, list, .. } = content.into();
    queue_lacking(tx, (&block, list), wanted, now).await?;
    let raised = sql::query(concat!(
        "UPDATE blocks SET replication = $3 WHERE replication < $3 AND block_id IN ",
        blocks_of_content!(),
        " RETURNING block_id"
    ))
    .bind(&block)
    .bind(list)
    .bind(i64::from(wanted))
    .bind(to_time(now))
    .bind(i64::MAX)
    .fetch_all(&mut *tx)
    .await?;
    for row in &raised {
        tx.touched().block(id(row, "block_id")?);
    }
    sql::query("UPDATE extent_lists SET replication = $2 WHERE list_id = $1 AND replication < $2")
        .bind(list)
        .bind(i64::from(wanted))
        .execute(tx)
        .await?;
    raised.iter().map(|row| id(row, "block_id")).collect()
}

/// Queues the blocks of a content whose replication changes to `wanted`. `before` finds those of them that are in the queue already,
/// and are counted elsewhere from now on; `queue` queues all, and returns how each is counted now.
async fn requeue(
    tx: &mut Connection,
    (before, queue): (&'static str, &'static str),
    (block, list): (&Option<Vec<u8>>, Option<i64>),
    wanted: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    for (statement, amount) in [(before, -Amount::of(1, 0)), (queue, Amount::of(1, 0))] {
        let rows = sql::query(statement)
            .bind(block)
            .bind(list)
            .bind(i64::from(wanted))
            .bind(to_time(now))
            // The end of the content, for the statements that ask for it.
            .bind(i64::MAX)
            .fetch_all(&mut *tx)
            .await?;
        for row in &rows {
            tx.deltas().add(Counter::of_repair(row)?, amount);
        }
    }
    Ok(())
}

/// Queues the blocks of a content that are to have less than the `wanted` replicas.
async fn queue_lacking(
    tx: &mut Connection,
    content: (&Option<Vec<u8>>, Option<i64>),
    wanted: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = concat!(
        "SELECT repairs.live, repairs.replication FROM blocks JOIN repairs ON repairs.block_id = blocks.block_id
         WHERE blocks.replication < $3 AND blocks.block_id IN ",
        blocks_of_content!()
    );
    let queue = concat!(
        "INSERT INTO repairs (block_id, live, replication, queued_at)
         SELECT blocks.block_id, (SELECT COUNT(*) FROM replicas
                                  WHERE replicas.block_id = blocks.block_id AND replicas.state = 0), $3, $4
         FROM blocks WHERE blocks.replication < $3 AND blocks.block_id IN ",
        blocks_of_content!(),
        " ON CONFLICT (block_id) DO UPDATE SET replication = excluded.replication RETURNING live, replication"
    );
    requeue(tx, (before, queue), content, wanted, now).await
}

/// Queues the blocks of a content that nothing else refers to and that are to have more than the `wanted` replicas.
async fn queue_surplus(
    tx: &mut Connection,
    content: (&Option<Vec<u8>>, Option<i64>),
    wanted: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = concat!(
        "SELECT repairs.live, repairs.replication FROM blocks JOIN repairs ON repairs.block_id = blocks.block_id
         WHERE blocks.replication > $3 AND blocks.refs = 1 AND blocks.block_id IN (SELECT block_id FROM ",
        own_blocks!(),
        ")"
    );
    let queue = concat!(
        "INSERT INTO repairs (block_id, live, replication, queued_at)
         SELECT blocks.block_id, (SELECT COUNT(*) FROM replicas
                                  WHERE replicas.block_id = blocks.block_id AND replicas.state = 0), $3, $4
         FROM blocks WHERE blocks.replication > $3 AND blocks.refs = 1
           AND blocks.block_id IN (SELECT block_id FROM ",
        own_blocks!(),
        ") ON CONFLICT (block_id) DO UPDATE SET replication = excluded.replication RETURNING live, replication"
    );
    requeue(tx, (before, queue), content, wanted, now).await
}

/// Lowers the replication of those blocks of a version to `wanted` that nothing else refers to, and queues them, so that the repair
/// worker drops the replicas that are too many. Returns those blocks. Blocks that are shared keep the highest replication that any of
/// their owners wants. It runs a fixed number of statements, as [`raise_replication`] does.
pub(crate) async fn lower_replication(
    tx: &mut Connection,
    content: Content,
    wanted: u32,
    now: Timestamp,
) -> Result<Vec<BlockId>, StoreError> {
    let ContentColumns { block, list, .. } = content.into();
    queue_surplus(tx, (&block, list), wanted, now).await?;
    let lowered = sql::query(concat!(
        "UPDATE blocks SET replication = $3 WHERE replication > $3 AND refs = 1 AND block_id IN (SELECT block_id FROM ",
        own_blocks!(),
        ") RETURNING block_id"
    ))
    .bind(&block)
    .bind(list)
    .bind(i64::from(wanted))
    .fetch_all(&mut *tx)
    .await?;
    for row in &lowered {
        tx.touched().block(id(row, "block_id")?);
    }
    // Of such a list it is known from now on that its blocks have this replication, and no more.
    sql::query(concat!(
        "UPDATE extent_lists SET replication = $3 WHERE replication > $3 AND list_id IN (SELECT list_id FROM ",
        own_lists!(),
        ")"
    ))
    .bind(&block)
    .bind(list)
    .bind(i64::from(wanted))
    .execute(tx)
    .await?;
    lowered.iter().map(|row| id(row, "block_id")).collect()
}

/// The position of a block in the queue; `None` if it is not queued.
pub(crate) async fn find(
    connection: &mut Connection,
    block: BlockId,
) -> Result<Option<QueuedRepair>, StoreError> {
    let row = sql::query("SELECT live, queued_at FROM repairs WHERE block_id = $1")
        .bind(&block.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        Ok(QueuedRepair { live: number(&row, "live")?, queued_at: time(&row, "queued_at")?, block })
    })
    .transpose()
}

/// Removes a block from the queue. Returns whether it was queued.
pub(crate) async fn remove(tx: &mut Connection, block: BlockId) -> Result<bool, StoreError> {
    let removed = sql::query("DELETE FROM repairs WHERE block_id = $1 RETURNING live, replication")
        .bind(&block.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = removed else { return Ok(false) };
    tx.deltas().take_off(Counter::of_repair(&row)?, Amount::of(1, 0));
    Ok(true)
}

/// Up to `max` places after `after`, in the order of urgency.
pub(crate) async fn page(
    connection: &mut Connection,
    after: Option<QueuedRepair>,
    max: u32,
) -> Result<Vec<QueuedRepair>, StoreError> {
    let (live, queued_at, block) = match after {
        Some(place) => (i64::from(place.live), to_time(place.queued_at), place.block.as_bytes().to_vec()),
        None => (-1, -1, Vec::new()),
    };
    let rows = sql::query(
        "SELECT live, queued_at, block_id FROM repairs WHERE (live, queued_at, block_id) > ($1, $2, $3)
         ORDER BY live, queued_at, block_id LIMIT $4",
    )
    .bind(live)
    .bind(queued_at)
    .bind(block)
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(QueuedRepair {
                live: number(row, "live")?,
                queued_at: time(row, "queued_at")?,
                block: id(row, "block_id")?,
            })
        })
        .collect()
}

/// The name of the setting that holds the position of the scan of all blocks. The setting exists while a scan is due or
/// runs, so that a restart continues it.
const SCAN: &str = "block_scan";

/// The position of the scan of all blocks: the last block that it examined. The outer `None` means that no scan is due,
/// the inner one that it has not begun.
pub(crate) async fn scan(connection: &mut Connection) -> Result<Option<Option<BlockId>>, StoreError> {
    let row = sql::query("SELECT value FROM settings WHERE name = $1")
        .bind(SCAN)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let value = text(&row, "value")?;
    if value.is_empty() {
        return Ok(Some(None));
    }
    value.parse().map(|block| Some(Some(block))).map_err(|_| StoreError::Corrupt { column: "value" })
}

/// Stores the position of the scan of all blocks; `None` lets it begin at the first block.
pub(crate) async fn set_scan(tx: &mut Connection, through: Option<BlockId>) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO settings (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(SCAN)
    .bind(through.map(|block| block.to_string()).unwrap_or_default())
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes the position of the scan, because all blocks were scanned.
pub(crate) async fn end_scan(tx: &mut Connection) -> Result<(), StoreError> {
    sql::query("DELETE FROM settings WHERE name = $1").bind(SCAN).execute(tx).await?;
    Ok(())
}

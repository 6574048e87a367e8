//! From the release in which rows of replicas and deletions had the ids of their nodes.

use futures_util::FutureExt;

use super::{Move, STEP};
use crate::store::{Connection, StoreError, sql};

pub(super) const MOVE: Move = Move {
    what: "replicas",
    mark: "replicas_1",
    count: "SELECT (SELECT COUNT(*) FROM replicas_1) + (SELECT COUNT(*) FROM deletions_1) AS rows",
    step: |tx| step(tx).boxed(),
    drop: &["DROP TABLE deletions_1", "DROP TABLE replicas_1"],
};

/// The statements that move the rows of one table, in the order of its key. A step takes the rows before `($1, $2)`.
struct Statements {
    /// The first row that stays.
    cut: &'static str,
    /// Makes rows of nodes that never registered. Such a node counts as removed: what is said to be on it is forgotten bit by bit,
    /// unless it comes.
    nodes: &'static str,
    insert: &'static str,
    delete: &'static str,
}

const REPLICAS: Statements = Statements {
    cut: "SELECT block_id AS first, node_id AS second FROM replicas_1
          ORDER BY block_id, node_id LIMIT 1 OFFSET $1",
    nodes: "INSERT INTO nodes (node_id, address, incarnation, volumes, version, registered_at, removed_at)
            SELECT DISTINCT node_id, '', 0, '[]', '', 0, 0 FROM replicas_1
            WHERE (block_id, node_id) < ($1, $2) AND node_id NOT IN (SELECT node_id FROM nodes)",
    insert: "INSERT INTO replicas (block_id, node, state)
             SELECT replicas_1.block_id, nodes.ordinal, replicas_1.state FROM replicas_1 CROSS JOIN nodes
             WHERE (replicas_1.block_id, replicas_1.node_id) < ($1, $2) AND nodes.node_id = replicas_1.node_id",
    delete: "DELETE FROM replicas_1 WHERE (block_id, node_id) < ($1, $2)",
};

const DELETIONS: Statements = Statements {
    cut: "SELECT node_id AS first, block_id AS second FROM deletions_1
          ORDER BY node_id, block_id LIMIT 1 OFFSET $1",
    nodes: "INSERT INTO nodes (node_id, address, incarnation, volumes, version, registered_at, removed_at)
            SELECT DISTINCT node_id, '', 0, '[]', '', 0, 0 FROM deletions_1
            WHERE (node_id, block_id) < ($1, $2) AND node_id NOT IN (SELECT node_id FROM nodes)",
    insert: "INSERT INTO deletions (node, block_id, queued_at, bytes)
             SELECT nodes.ordinal, deletions_1.block_id, deletions_1.queued_at, deletions_1.bytes
             FROM deletions_1 CROSS JOIN nodes
             WHERE (deletions_1.node_id, deletions_1.block_id) < ($1, $2) AND nodes.node_id = deletions_1.node_id",
    delete: "DELETE FROM deletions_1 WHERE (node_id, block_id) < ($1, $2)",
};

async fn step(tx: &mut Connection) -> Result<u64, StoreError> {
    match move_some(tx, &REPLICAS).await? {
        0 => move_some(tx, &DELETIONS).await,
        moved => Ok(moved),
    }
}

async fn move_some(tx: &mut Connection, table: &Statements) -> Result<u64, StoreError> {
    let cut = sql::query(table.cut).bind(i64::from(STEP)).fetch_optional(&mut *tx).await?;
    let (first, second): (Vec<u8>, Vec<u8>) = match cut {
        Some(row) => (row.try_get("first")?, row.try_get("second")?),
        // All that are left: ids have 16 bytes, and this sorts after each.
        None => (vec![0xff; 17], Vec::new()),
    };
    let mut moved = 0;
    for statement in [table.nodes, table.insert, table.delete] {
        moved = sql::query(statement).bind(&first).bind(&second).execute(&mut *tx).await?.rows_affected();
    }
    Ok(moved)
}

#[cfg(test)]
mod tests;

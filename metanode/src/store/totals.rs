//! Counts that triggers maintain, so that reading them does not scan a table.

use std::collections::HashMap;

use cairn_protocol::id::NodeId;

use super::sql_values::{id, number};
use super::{Connection, Row, StoreError};

/// The counts of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeTotals {
    /// Replicas that it has according to SQL.
    pub(crate) replicas: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

fn totals(row: &Row) -> Result<NodeTotals, StoreError> {
    Ok(NodeTotals { replicas: number(row, "replicas")?, bytes: number(row, "bytes")? })
}

/// The counts of all nodes that have, or once had, a replica or a queued deletion.
pub(crate) async fn nodes(connection: &mut Connection) -> Result<HashMap<NodeId, NodeTotals>, StoreError> {
    let rows = sqlx::query("SELECT node_id, replicas, bytes FROM node_totals").fetch_all(connection).await?;
    rows.iter().map(|row| Ok((id(row, "node_id")?, totals(row)?))).collect()
}

/// Replicas that are queued for deletion, by node. Nodes without any are left out.
pub(crate) async fn deletions(connection: &mut Connection) -> Result<HashMap<NodeId, u64>, StoreError> {
    let rows = sqlx::query("SELECT node_id, deletions FROM node_totals WHERE deletions > 0")
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((id(row, "node_id")?, number(row, "deletions")?))).collect()
}

/// The counts of one node.
pub(crate) async fn node(connection: &mut Connection, node: NodeId) -> Result<NodeTotals, StoreError> {
    let row = sqlx::query("SELECT replicas, bytes FROM node_totals WHERE node_id = $1")
        .bind(&node.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.as_ref().map_or_else(|| Ok(NodeTotals::default()), totals)
}

/// The number of blocks that extents refer to.
pub(crate) async fn blocks(connection: &mut Connection) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT blocks FROM block_totals").fetch_one(connection).await?;
    number(&row, "blocks")
}

/// The counts of the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Blocks that extents refer to.
    pub(crate) blocks: u64,
    /// Queued blocks with fewer live replicas than both their replication and the number of nodes.
    pub(crate) lacking: u64,
    /// Those of them that have no live replica.
    pub(crate) missing: u64,
    /// Replicas that are queued for deletion.
    pub(crate) deletions: u64,
}

/// The counts of the whole cluster, given its number of nodes.
pub(crate) async fn all(connection: &mut Connection, nodes: u32) -> Result<Totals, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT blocks FROM block_totals) AS blocks,
                (SELECT COALESCE(SUM(deletions), 0) FROM node_totals) AS deletions,
                COALESCE(SUM(repairs), 0) AS lacking,
                COALESCE(SUM(CASE WHEN live = 0 THEN repairs END), 0) AS missing
         FROM repair_totals WHERE live < replication AND live < $1",
    )
    .bind(i64::from(nodes))
    .fetch_one(connection)
    .await?;
    Ok(Totals {
        blocks: number(&row, "blocks")?,
        lacking: number(&row, "lacking")?,
        missing: number(&row, "missing")?,
        deletions: number(&row, "deletions")?,
    })
}

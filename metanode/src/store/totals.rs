//! What the [counters](super::counters) say, as operators and workers ask for it. Inside a transaction the answers include what it
//! changed.

use std::collections::HashMap;

use cairn_protocol::id::NodeId;

use super::counters::{self, Counted, Counter};
use super::sql_values::{id, number};
use super::{Connection, Row, StoreError, sql};

/// Replicas of a node: those that it has, or those that it is to delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeTotals {
    /// How many.
    pub(crate) replicas: u64,
    /// Their bytes, as far as they are known.
    pub(crate) bytes: u64,
}

impl From<Counted> for NodeTotals {
    fn from(counted: Counted) -> Self {
        Self { replicas: counted.things, bytes: counted.bytes }
    }
}

/// The replicas of all nodes that have, or once had, one or a queued deletion.
pub(crate) async fn nodes(connection: &mut Connection) -> Result<HashMap<NodeId, NodeTotals>, StoreError> {
    let rows = sql::query("SELECT node_id, replicas AS things, bytes FROM node_totals")
        .fetch_all(&mut *connection)
        .await?;
    by_node(connection, &rows, Counter::Replicas)
}

/// Replicas that are queued for deletion, by node. Nodes without any are left out.
pub(crate) async fn deletions(
    connection: &mut Connection,
) -> Result<HashMap<NodeId, NodeTotals>, StoreError> {
    let rows = sql::query("SELECT node_id, deletions AS things, deletion_bytes AS bytes FROM node_totals")
        .fetch_all(&mut *connection)
        .await?;
    let mut queued = by_node(connection, &rows, Counter::Deletions)?;
    queued.retain(|_, queued| queued.replicas > 0);
    Ok(queued)
}

/// The counters of a kind in rows with the columns `node_id`, `things` and `bytes`, and in the open transaction.
fn by_node(
    connection: &mut Connection,
    rows: &[Row],
    of: fn(NodeId) -> Counter,
) -> Result<HashMap<NodeId, NodeTotals>, StoreError> {
    let mut counted: HashMap<NodeId, Counted> = HashMap::with_capacity(rows.len());
    for row in rows {
        let node = id(row, "node_id")?;
        counted.insert(node, Counted::from_row(row, of(node))?);
    }
    for (counter, change) in connection.deltas().all() {
        if let Counter::Replicas(node) | Counter::Deletions(node) = counter
            && counter == of(node)
        {
            let before = counted.entry(node).or_default();
            *before = before.with(counter, change);
        }
    }
    Ok(counted.into_iter().map(|(node, counted)| (node, counted.into())).collect())
}

/// The replicas of one node.
pub(crate) async fn node(connection: &mut Connection, node: NodeId) -> Result<NodeTotals, StoreError> {
    Ok(counters::read(connection, Counter::Replicas(node)).await?.into())
}

/// The number of blocks that extents refer to.
pub(crate) async fn blocks(connection: &mut Connection) -> Result<u64, StoreError> {
    Ok(counters::read(connection, Counter::Blocks).await?.things)
}

/// The counts of the whole cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    let mut totals = Totals { blocks: blocks(connection).await?, ..Totals::default() };
    for queued in deletions(connection).await?.into_values() {
        totals.deletions = totals.deletions.saturating_add(queued.replicas);
    }
    for ((live, replication), repairs) in repairs_by_copies(connection).await? {
        if live < replication && live < nodes {
            totals.lacking = totals.lacking.saturating_add(repairs);
            if live == 0 {
                totals.missing = totals.missing.saturating_add(repairs);
            }
        }
    }
    Ok(totals)
}

/// How many queued repairs there are for each number of live replicas and wanted ones: tens of numbers.
async fn repairs_by_copies(connection: &mut Connection) -> Result<HashMap<(u32, u32), u64>, StoreError> {
    let rows = sql::query("SELECT live, replication, repairs AS things, 0 AS bytes FROM repair_totals")
        .fetch_all(&mut *connection)
        .await?;
    let mut queued: HashMap<(u32, u32), Counted> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let copies = (number(row, "live")?, number(row, "replication")?);
        queued.insert(copies, Counted::from_row(row, Counter::of_repair(row)?)?);
    }
    for (counter, change) in connection.deltas().all() {
        if let Counter::Repairs { live, replication } = counter {
            let before = queued.entry((live, replication)).or_default();
            *before = before.with(counter, change);
        }
    }
    Ok(queued.into_iter().map(|(copies, counted)| (copies, counted.things)).collect())
}

//! The table of datanodes.

use std::fmt;

use cairn_protocol::admin::AdminState;
use cairn_protocol::cluster::{Register, VolumeUsage};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::NodeId;
use serde::{Deserialize, Serialize};

use super::sql_values::{id, json, number, text, to_json, to_number, to_time};
use super::{Connection, Row, StoreError, sql, totals};

/// The number by which rows of replicas and deletions refer to a node. It is given at the node's first registration, and never
/// used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NodeOrdinal(pub(crate) i64);

impl fmt::Display for NodeOrdinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The row of a node.
#[derive(Clone, Debug)]
pub(crate) struct KnownNode {
    /// The node.
    pub(crate) node: NodeId,
    /// Its base URL.
    pub(crate) address: String,
    /// Its zone.
    pub(crate) zone: Option<String>,
    /// Its incarnation.
    pub(crate) incarnation: u64,
    /// Its volumes at the last registration.
    pub(crate) volumes: Vec<VolumeUsage>,
    /// The administrative state that an operator gave it.
    pub(crate) admin_state: AdminState,
    /// The version of its software.
    pub(crate) version: String,
    /// The number of its replicas that are queued for deletion, and their bytes.
    pub(crate) deletions: (u64, u64),
}

/// All nodes, except removed ones.
pub(crate) async fn all(connection: &mut Connection) -> Result<Vec<KnownNode>, StoreError> {
    let rows = sql::query(
        "SELECT node_id, address, zone, incarnation, volumes, version, duty, maintenance_until
         FROM nodes WHERE removed_at IS NULL",
    )
    .fetch_all(&mut *connection)
    .await?;
    let queued = totals::deletions(connection).await?;
    rows.iter()
        .map(|row| {
            let node = id(row, "node_id")?;
            Ok(KnownNode {
                node,
                address: text(row, "address")?,
                zone: row.try_get("zone")?,
                incarnation: number(row, "incarnation")?,
                volumes: json(row, "volumes")?,
                version: text(row, "version")?,
                admin_state: admin_state(row)?,
                deletions: queued.get(&node).map_or((0, 0), |queued| (queued.replicas, queued.bytes)),
            })
        })
        .collect()
}

/// The values of the column `duty`, which holds the administrative state.
const SERVICE: i64 = 0;
const DRAINING: i64 = 1;
const MAINTENANCE: i64 = 2;

fn admin_state(row: &Row) -> Result<AdminState, StoreError> {
    Ok(match row.try_get("duty")? {
        SERVICE => AdminState::InService,
        DRAINING => AdminState::Draining,
        MAINTENANCE => AdminState::Maintenance { until: Timestamp(number(row, "maintenance_until")?) },
        _ => return Err(StoreError::Corrupt { column: "duty" }),
    })
}

/// Stores the administrative state of a node. Returns whether the node exists.
pub(crate) async fn set_admin_state(
    tx: &mut Connection,
    node: NodeId,
    admin_state: AdminState,
) -> Result<bool, StoreError> {
    let (duty, until) = match admin_state {
        AdminState::InService => (SERVICE, None),
        AdminState::Draining => (DRAINING, None),
        AdminState::Maintenance { until } => (MAINTENANCE, Some(to_time(until))),
    };
    let done = sql::query(
        "UPDATE nodes SET duty = $1, maintenance_until = $2 WHERE node_id = $3 AND removed_at IS NULL",
    )
    .bind(duty)
    .bind(until)
    .bind(&node.as_bytes()[..])
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The outcome of [`register`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    /// The node's incarnation. It is above every earlier one of the node, even after the node was removed, or after an
    /// older backup of the database was restored.
    pub(crate) incarnation: u64,
    /// Whether the node is new.
    pub(crate) is_new: bool,
}

/// Stores a registration. A node that was removed comes back as a new one. The incarnation is above both the one in the
/// database and the one that the node sent.
pub(crate) async fn register(
    tx: &mut Connection,
    register: &Register,
    now: Timestamp,
) -> Result<Registration, StoreError> {
    let known = sql::query("SELECT 1 FROM nodes WHERE node_id = $1 AND removed_at IS NULL")
        .bind(&register.node.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    // Not one statement with ON CONFLICT, because that would use up an ordinal each time.
    let again = registration(REGISTER_AGAIN, register, now)?.fetch_optional(&mut *tx).await?;
    let row = match again {
        Some(row) => row,
        None => registration(REGISTER, register, now)?.fetch_one(tx).await?,
    };
    Ok(Registration { incarnation: number(&row, "incarnation")?, is_new: known.is_none() })
}

fn registration<'q>(
    statement: &'static str,
    register: &'q Register,
    now: Timestamp,
) -> Result<sql::Query<'q>, StoreError> {
    Ok(sql::query(statement)
        .bind(&register.node.as_bytes()[..])
        .bind(&register.address)
        .bind(&register.zone)
        .bind(to_json(&register.volumes, "volumes")?)
        .bind(&register.version)
        .bind(to_time(now))
        .bind(to_number(register.incarnation.saturating_add(1))))
}

const REGISTER_AGAIN: &str = "UPDATE nodes SET address = $2, zone = $3,
         incarnation = CASE WHEN incarnation < $7 THEN $7 ELSE incarnation + 1 END,
         volumes = $4, version = $5, registered_at = $6,
         duty = CASE WHEN removed_at IS NULL THEN duty ELSE 0 END, removed_at = NULL
     WHERE node_id = $1 RETURNING incarnation";

const REGISTER: &str =
    "INSERT INTO nodes (node_id, address, zone, incarnation, volumes, version, registered_at)
     VALUES ($1, $2, $3, $7, $4, $5, $6) RETURNING incarnation";

/// Removes a node. Its row stays, because rows of replicas and deletions still refer to it. Returns whether the node
/// existed.
pub(crate) async fn remove(tx: &mut Connection, node: NodeId, now: Timestamp) -> Result<bool, StoreError> {
    let removed = sql::query("UPDATE nodes SET removed_at = $1 WHERE node_id = $2 AND removed_at IS NULL")
        .bind(to_time(now))
        .bind(&node.as_bytes()[..])
        .execute(tx)
        .await?;
    Ok(removed.rows_affected() > 0)
}

/// Whether a node was removed, and did not register again.
pub(crate) async fn is_removed(connection: &mut Connection, node: NodeId) -> Result<bool, StoreError> {
    let row = sql::query("SELECT 1 FROM nodes WHERE node_id = $1 AND removed_at IS NOT NULL")
        .bind(&node.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Removed nodes that still have rows of replicas or deletions.
pub(crate) async fn half_removed(connection: &mut Connection) -> Result<Vec<NodeId>, StoreError> {
    let rows = sql::query("SELECT node_id FROM nodes WHERE removed_at IS NOT NULL")
        .fetch_all(&mut *connection)
        .await?;
    let (held, queued) = (totals::nodes(connection).await?, totals::deletions(connection).await?);
    let removed = rows.iter().map(|row| id(row, "node_id"));
    let is_left =
        |node: &NodeId| held.get(node).is_some_and(|held| held.replicas > 0) || queued.contains_key(node);
    removed.filter(|node| node.as_ref().map_or(true, is_left)).collect()
}

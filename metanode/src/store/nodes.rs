//! The table of datanodes.

use cairn_protocol::admin::AdminState;
use cairn_protocol::cluster::{Register, VolumeUsage};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::NodeId;
use sqlx::Row as _;

use super::sql_values::{id, json, number, text, to_json, to_number, to_time};
use super::{Connection, Row, StoreError};

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
    let rows = sqlx::query(
        "SELECT nodes.node_id, address, zone, incarnation, volumes, version, duty, maintenance_until,
                COALESCE(deletions, 0) AS deletions, COALESCE(deletion_bytes, 0) AS deletion_bytes
         FROM nodes LEFT JOIN node_totals ON node_totals.node_id = nodes.node_id WHERE removed_at IS NULL",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(KnownNode {
                node: id(row, "node_id")?,
                address: text(row, "address")?,
                zone: row.try_get("zone")?,
                incarnation: number(row, "incarnation")?,
                volumes: json(row, "volumes")?,
                version: text(row, "version")?,
                admin_state: admin_state(row)?,
                deletions: (number(row, "deletions")?, number(row, "deletion_bytes")?),
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
    let done = sqlx::query(
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
    let known = sqlx::query("SELECT 1 FROM nodes WHERE node_id = $1 AND removed_at IS NULL")
        .bind(&register.node.as_bytes()[..])
        .fetch_optional(&mut *tx)
        .await?;
    let row = sqlx::query(
        "INSERT INTO nodes (node_id, address, zone, incarnation, volumes, version, registered_at)
         VALUES ($1, $2, $3, $7, $4, $5, $6)
         ON CONFLICT (node_id) DO UPDATE SET
             address = excluded.address, zone = excluded.zone,
             incarnation = CASE WHEN nodes.incarnation < excluded.incarnation
                                THEN excluded.incarnation ELSE nodes.incarnation + 1 END,
             volumes = excluded.volumes, version = excluded.version, registered_at = excluded.registered_at,
             duty = CASE WHEN nodes.removed_at IS NULL THEN nodes.duty ELSE 0 END, removed_at = NULL
         RETURNING incarnation",
    )
    .bind(&register.node.as_bytes()[..])
    .bind(&register.address)
    .bind(&register.zone)
    .bind(to_json(&register.volumes, "volumes")?)
    .bind(&register.version)
    .bind(to_time(now))
    .bind(to_number(register.incarnation.saturating_add(1)))
    .fetch_one(tx)
    .await?;
    Ok(Registration { incarnation: number(&row, "incarnation")?, is_new: known.is_none() })
}

/// Removes a node. Its row stays, because rows of replicas and deletions still refer to it. Returns whether the node
/// existed.
pub(crate) async fn remove(tx: &mut Connection, node: NodeId, now: Timestamp) -> Result<bool, StoreError> {
    let removed = sqlx::query("UPDATE nodes SET removed_at = $1 WHERE node_id = $2 AND removed_at IS NULL")
        .bind(to_time(now))
        .bind(&node.as_bytes()[..])
        .execute(tx)
        .await?;
    Ok(removed.rows_affected() > 0)
}

/// Whether a node was removed, and did not register again.
pub(crate) async fn is_removed(connection: &mut Connection, node: NodeId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM nodes WHERE node_id = $1 AND removed_at IS NOT NULL")
        .bind(&node.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Removed nodes that still have rows of replicas or deletions.
pub(crate) async fn half_removed(connection: &mut Connection) -> Result<Vec<NodeId>, StoreError> {
    let rows = sqlx::query(
        "SELECT nodes.node_id FROM nodes JOIN node_totals ON node_totals.node_id = nodes.node_id
         WHERE removed_at IS NOT NULL AND (replicas > 0 OR deletions > 0)",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| id(row, "node_id")).collect()
}

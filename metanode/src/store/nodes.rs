//! The datanodes that registered.

use cairn_protocol::admin::Duty;
use cairn_protocol::cluster::Register;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::NodeId;
use sqlx::Row as _;

use super::column::{id, json, number, text, to_json, to_time};
use super::{Connection, Row, StoreError};
use crate::blocks::KnownNode;

/// All nodes.
pub(crate) async fn all(connection: &mut Connection) -> Result<Vec<KnownNode>, StoreError> {
    let rows = sqlx::query(
        "SELECT node_id, address, zone, incarnation, volumes, version, duty, maintenance_until FROM nodes",
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
                duty: duty(row)?,
            })
        })
        .collect()
}

/// What is wanted of a node, as it is stored.
const SERVICE: i64 = 0;
const DRAINING: i64 = 1;
const MAINTENANCE: i64 = 2;

fn duty(row: &Row) -> Result<Duty, StoreError> {
    Ok(match row.try_get("duty")? {
        SERVICE => Duty::Service,
        DRAINING => Duty::Draining,
        MAINTENANCE => Duty::Maintenance { until: Timestamp(number(row, "maintenance_until")?) },
        _ => return Err(StoreError::Corrupt { column: "duty" }),
    })
}

/// Keeps what is wanted of a node. Answers whether there is such a node.
pub(crate) async fn set_duty(tx: &mut Connection, node: NodeId, duty: Duty) -> Result<bool, StoreError> {
    let (duty, until) = match duty {
        Duty::Service => (SERVICE, None),
        Duty::Draining => (DRAINING, None),
        Duty::Maintenance { until } => (MAINTENANCE, Some(to_time(until))),
    };
    let done = sqlx::query("UPDATE nodes SET duty = $1, maintenance_until = $2 WHERE node_id = $3")
        .bind(duty)
        .bind(until)
        .bind(&node.as_bytes()[..])
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Keeps a registration; answers the node's new incarnation, 1 for its first.
pub(crate) async fn register(
    tx: &mut Connection,
    register: &Register,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO nodes (node_id, address, zone, incarnation, volumes, version, registered_at)
         VALUES ($1, $2, $3, 1, $4, $5, $6)
         ON CONFLICT (node_id) DO UPDATE SET
             address = excluded.address, zone = excluded.zone, incarnation = nodes.incarnation + 1,
             volumes = excluded.volumes, version = excluded.version, registered_at = excluded.registered_at
         RETURNING incarnation",
    )
    .bind(&register.node.as_bytes()[..])
    .bind(&register.address)
    .bind(&register.zone)
    .bind(to_json(&register.volumes, "volumes")?)
    .bind(&register.version)
    .bind(to_time(now))
    .fetch_one(tx)
    .await?;
    number(&row, "incarnation")
}

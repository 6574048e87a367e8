//! The datanodes that registered.

use cairn_protocol::cluster::Register;
use cairn_protocol::env::Timestamp;
use sqlx::Row as _;

use super::column::{id, json, number, text, to_json, to_time};
use super::{Connection, StoreError};
use crate::blocks::KnownNode;

/// All nodes.
pub(crate) async fn all(connection: &mut Connection) -> Result<Vec<KnownNode>, StoreError> {
    let rows = sqlx::query("SELECT node_id, address, zone, incarnation, volumes FROM nodes")
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
            })
        })
        .collect()
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

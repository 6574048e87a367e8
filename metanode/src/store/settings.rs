//! The cluster's settings: its id and root credentials, and the decisions of operators.

use cairn_protocol::admin::{WorkerName, WorkerSettings};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sql_values::{json, text, to_json};
use super::{Connection, StoreError, sql};

/// A setting's name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting {
    /// The cluster's id.
    ClusterId,
    /// The root credentials that were generated at the first start, sealed, as JSON.
    RootCredentials,
    /// The id of the master key, if anything was sealed with it.
    MasterKeyId,
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Self::ClusterId => "cluster_id",
            Self::RootCredentials => "root_credentials",
            Self::MasterKeyId => "master_key_id",
        }
    }
}

/// A setting's value.
pub(crate) async fn find(
    connection: &mut Connection,
    setting: Setting,
) -> Result<Option<String>, StoreError> {
    sql::query_scalar("SELECT value FROM settings WHERE name = $1")
        .bind(setting.name())
        .fetch_optional(connection)
        .await
}

/// Stores `value` unless the setting has one already; returns the stored value.
pub(crate) async fn find_or_insert(
    tx: &mut Connection,
    setting: Setting,
    value: &str,
) -> Result<String, StoreError> {
    sql::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(setting.name())
        .bind(value)
        .execute(&mut *tx)
        .await?;
    sql::query_scalar("SELECT value FROM settings WHERE name = $1").bind(setting.name()).fetch_one(tx).await
}

/// Replaces the value of a setting.
pub(crate) async fn replace(tx: &mut Connection, setting: Setting, value: &str) -> Result<(), StoreError> {
    sql::query("UPDATE settings SET value = $2 WHERE name = $1")
        .bind(setting.name())
        .bind(value)
        .execute(tx)
        .await?;
    Ok(())
}

/// An operator's decision, stored as JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision {
    /// The settings of a worker: [`WorkerSettings`].
    Worker(WorkerName),
    /// How far a node's utilisation may differ from the mean, in thousandths: a `u32`.
    BalanceThreshold,
    /// When an operator ordered all nodes to scrub from the beginning: a [`Timestamp`].
    ScrubAll,
    /// When an operator ordered this node to: a [`Timestamp`].
    Scrub(NodeId),
    /// The hold on deletions. The metanode sets it, not an operator; it is stored here so that it survives a restart.
    Hold,
    /// Which losses an operator accepted when a hold was released.
    Consent,
    /// The position of the walk over all blocks. It is no decision; it is stored here so that it survives a restart.
    PlacementWalk,
}

const SCRUB_OF_NODE: &str = "scrub.";

impl Decision {
    fn name(self) -> String {
        match self {
            Self::Worker(worker) => format!("worker.{worker}"),
            Self::BalanceThreshold => "balance_threshold".to_owned(),
            Self::ScrubAll => "scrub_all".to_owned(),
            Self::Scrub(node) => format!("{SCRUB_OF_NODE}{node}"),
            Self::Hold => "hold".to_owned(),
            Self::Consent => "consent".to_owned(),
            Self::PlacementWalk => "placement_walk".to_owned(),
        }
    }
}

/// The stored decision; `None` if there is none.
pub(crate) async fn decided<T: DeserializeOwned>(
    connection: &mut Connection,
    decision: Decision,
) -> Result<Option<T>, StoreError> {
    let row = sql::query("SELECT value FROM settings WHERE name = $1")
        .bind(decision.name())
        .fetch_optional(connection)
        .await?;
    row.map(|row| json(&row, "value")).transpose()
}

/// Stores a decision.
pub(crate) async fn decide<T: Serialize>(
    tx: &mut Connection,
    decision: Decision,
    value: T,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO settings (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(decision.name())
    .bind(to_json(&value, "value")?)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a decision.
pub(crate) async fn undecide(tx: &mut Connection, decision: Decision) -> Result<(), StoreError> {
    sql::query("DELETE FROM settings WHERE name = $1").bind(decision.name()).execute(tx).await?;
    Ok(())
}

/// The decisions about workers. Workers without one are left out.
pub(crate) async fn workers(
    connection: &mut Connection,
) -> Result<Vec<(WorkerName, WorkerSettings)>, StoreError> {
    let mut settings = Vec::new();
    for worker in WorkerName::ALL {
        if let Some(decided) = decided(connection, Decision::Worker(worker)).await? {
            settings.push((worker, decided));
        }
    }
    Ok(settings)
}

/// The orders to single nodes to scrub, each with its time.
pub(crate) async fn scrubs_asked(
    connection: &mut Connection,
) -> Result<Vec<(NodeId, Timestamp)>, StoreError> {
    // A range instead of LIKE: "/" is the character after ".".
    let rows = sql::query("SELECT name, value FROM settings WHERE name > $1 AND name < $2")
        .bind(SCRUB_OF_NODE)
        .bind("scrub/")
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let name = text(row, "name")?;
            let node = name.strip_prefix(SCRUB_OF_NODE).and_then(|node| node.parse().ok());
            Ok((node.ok_or(StoreError::Corrupt { column: "name" })?, json(row, "value")?))
        })
        .collect()
}

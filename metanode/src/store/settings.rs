//! What the cluster is: its id, its root credentials.

use super::{Connection, StoreError};

/// A setting's name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting {
    /// The cluster's id.
    ClusterId,
    /// The root credentials that were made at the first start, as JSON.
    RootCredentials,
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Self::ClusterId => "cluster_id",
            Self::RootCredentials => "root_credentials",
        }
    }
}

/// A setting's value.
pub(crate) async fn find(
    connection: &mut Connection,
    setting: Setting,
) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
        .bind(setting.name())
        .fetch_optional(connection)
        .await?)
}

/// Keeps `value` unless there is one already; answers the one that is kept.
pub(crate) async fn find_or_insert(
    tx: &mut Connection,
    setting: Setting,
    value: &str,
) -> Result<String, StoreError> {
    sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(setting.name())
        .bind(value)
        .execute(&mut *tx)
        .await?;
    Ok(sqlx::query_scalar("SELECT value FROM settings WHERE name = $1")
        .bind(setting.name())
        .fetch_one(tx)
        .await?)
}

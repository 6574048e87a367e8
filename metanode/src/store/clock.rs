//! The state of the cluster's clock, stored as one JSON document among the settings.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sql_values::{json, to_json};
use super::{Connection, StoreError};

const NAME: &str = "clock";

/// The clock's state as it was stored last; `None` in a database that has none yet.
pub(crate) async fn find<T: DeserializeOwned>(connection: &mut Connection) -> Result<Option<T>, StoreError> {
    let row = sqlx::query("SELECT value FROM settings WHERE name = $1")
        .bind(NAME)
        .fetch_optional(connection)
        .await?;
    row.map(|row| json(&row, "value")).transpose()
}

/// Stores the clock's state.
pub(crate) async fn keep<T: Serialize>(tx: &mut Connection, clock: &T) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(NAME)
    .bind(to_json(clock, "value")?)
    .execute(tx)
    .await?;
    Ok(())
}

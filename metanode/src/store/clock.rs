//! The state of the metanode's clocks, each stored as one JSON document among the settings.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sql_values::{json, to_json};
use super::{Connection, StoreError, sql};

/// A clock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoredClock {
    /// Cluster time, by which leases and ages are judged.
    Cluster,
    /// The clock by which locks of versions end.
    Locks,
}

impl StoredClock {
    fn name(self) -> &'static str {
        match self {
            Self::Cluster => "clock",
            Self::Locks => "lock_clock",
        }
    }
}

/// A clock's state as it was stored last; `None` in a database that has none yet.
pub(crate) async fn find<T: DeserializeOwned>(
    connection: &mut Connection,
    clock: StoredClock,
) -> Result<Option<T>, StoreError> {
    let row = sql::query("SELECT value FROM settings WHERE name = $1")
        .bind(clock.name())
        .fetch_optional(connection)
        .await?;
    row.map(|row| json(&row, "value")).transpose()
}

/// Stores a clock's state.
pub(crate) async fn keep<T: Serialize>(
    tx: &mut Connection,
    clock: StoredClock,
    state: &T,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO settings (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(clock.name())
    .bind(to_json(state, "value")?)
    .execute(tx)
    .await?;
    Ok(())
}

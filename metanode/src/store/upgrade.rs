//! Moves the rows of earlier releases to the tables of this one, when the database is opened.
//!
//! The migrations of SQL are one transaction each, which would be long and silent for 10⁸ objects. So they only make the new
//! tables. The rows are moved here in small transactions: the same one inserts a row and deletes the old one, so a process
//! that is killed continues where it was. The old table goes when it is empty, and it is the mark that there is work.

use std::time::Duration;

use sqlx::Connection as _;
use sqlx::Row as _;

use super::{Connection, StoreError};
use cairn_protocol::env::Env;

/// Rows that one transaction moves: some tens of milliseconds.
const STEP: i64 = 2_000;

/// Transactions between merges of the log into the database, so that the log stays small. Nothing else merges it now.
const MERGE_EVERY: u64 = 50;

/// The time between two lines of progress in the log.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Moves all rows that are left of earlier releases.
///
/// # Errors
/// The database's. What was moved stays moved.
pub(super) async fn run(writer: &mut Connection, env: &Env) -> Result<(), StoreError> {
    if !has_table(writer, "object_versions").await? {
        return Ok(());
    }
    let all = count(writer).await?;
    if all > 0 {
        tracing::info!(objects = all, "moving the objects of an earlier release to the tables of this one");
    }
    let (mut moved, mut steps, mut reported_at) = (0, 0, env.monotonic());
    loop {
        let now = step(writer).await?;
        if now == 0 {
            break;
        }
        moved += now;
        steps += 1;
        if steps % MERGE_EVERY == 0 {
            merge_log(writer).await?;
        }
        if env.monotonic() - reported_at >= REPORT_EVERY {
            reported_at = env.monotonic();
            tracing::info!(moved, of = all, "moving the objects of an earlier release");
        }
    }
    sqlx::query("DROP TABLE object_versions").execute(&mut *writer).await?;
    if all > 0 {
        merge_log(writer).await?;
        tracing::info!(moved, "all objects of the earlier release are moved");
    }
    Ok(())
}

async fn has_table(connection: &mut Connection, name: &str) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

async fn count(connection: &mut Connection) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS rows FROM object_versions").fetch_one(connection).await?;
    super::sql_values::number(&row, "rows")
}

async fn merge_log(connection: &mut Connection) -> Result<(), StoreError> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(connection).await?;
    Ok(())
}

/// The current versions in the order in which they lie in the new table; when there are none left, the retired ones.
const CURRENT: &str =
    "SELECT version_id FROM object_versions WHERE is_current = 1 ORDER BY bucket_id, key LIMIT $1";
const RETIRED: &str = "SELECT version_id FROM object_versions LIMIT $1";

const MOVE_CURRENT: &str =
    "INSERT INTO versions (bucket_id, key, sequence, version_id, null_state, is_delete_marker,
         length, etag, modified_at, part_count, attributes, tags)
     SELECT bucket_id, key, 0, version_id, 1, 0, length, etag, modified_at, part_count, attributes, tags
     FROM object_versions WHERE version_id = $1";
const MOVE_RETIRED: &str =
    "INSERT INTO retired_versions (version_id, bucket_id, key, sequence, null_state, length,
         etag, modified_at, part_count, attributes, tags)
     SELECT version_id, bucket_id, key, 0, 1, length, etag, modified_at, part_count, attributes, tags
     FROM object_versions WHERE version_id = $1";

/// Moves some rows in one transaction. Returns how many it moved.
pub(super) async fn step(writer: &mut Connection) -> Result<u64, StoreError> {
    let mut tx = writer.begin().await?;
    for (find, insert) in [(CURRENT, MOVE_CURRENT), (RETIRED, MOVE_RETIRED)] {
        let rows = sqlx::query(find).bind(STEP).fetch_all(&mut *tx).await?;
        for row in &rows {
            let version: &[u8] = row.try_get("version_id")?;
            sqlx::query(insert).bind(version).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM object_versions WHERE version_id = $1")
                .bind(version)
                .execute(&mut *tx)
                .await?;
        }
        if !rows.is_empty() {
            tx.commit().await?;
            return Ok(rows.len() as u64);
        }
    }
    Ok(0)
}

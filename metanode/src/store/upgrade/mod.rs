//! Moves the rows of earlier releases to the tables of this one, when the database is opened.
//!
//! The migrations of SQL are one transaction each, which would be long and silent for 10⁸ objects. So they only make the new
//! tables. The rows are moved here in small transactions: the same one inserts a row and deletes the old one, so a process
//! that is killed continues where it was. An old table goes when it is empty, and it is the mark that there is work.
//!
//! | module | from |
//! |---|---|
//! | `first_versions` | the release that kept one version of each key |
//! | `extent_lists` | the release in which each version and part had extents of its own |
//! | `usage` | the release that did not count what buckets use: its rows stay where they are, and are counted |
//! | `node_ids` | the release in which rows of replicas and deletions had the ids of their nodes |

mod extent_lists;
mod first_versions;
mod node_ids;
mod usage;

use std::time::Duration;

use cairn_protocol::env::Env;

use super::sql_values::number;
use super::{BoxFuture, Connection, StoreError, sql};

/// Rows that one transaction moves: some tens of milliseconds.
pub(super) const STEP: u32 = 2_000;

/// Transactions between merges of the log into the database, so that the log stays small. Nothing else merges it now.
const MERGE_EVERY: u64 = 50;

/// The time between two lines of progress in the log.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// A move from old tables.
struct Move {
    /// What is moved, for the log.
    what: &'static str,
    /// The table whose existence shows that there is work.
    mark: &'static str,
    /// Counts the rows.
    count: &'static str,
    /// Moves some rows in the open transaction. Returns how many it moved; 0 when there are none left.
    step: for<'t> fn(&'t mut Connection) -> BoxFuture<'t, Result<u64, StoreError>>,
    /// Drops the tables.
    drop: &'static [&'static str],
}

/// All moves, the oldest release first: a move may fill the tables of the next one.
const MOVES: [&Move; 4] = [&first_versions::MOVE, &extent_lists::MOVE, &usage::MOVE, &node_ids::MOVE];

/// Moves all rows that are left of earlier releases.
///
/// # Errors
/// The database's. What was moved stays moved.
pub(super) async fn run(writer: &mut Connection, env: &Env) -> Result<(), StoreError> {
    for all in MOVES {
        if has_table(writer, all.mark).await? {
            move_all(writer, env, all).await?;
        }
    }
    Ok(())
}

async fn move_all(writer: &mut Connection, env: &Env, all: &Move) -> Result<(), StoreError> {
    let rows: u64 = number(&sql::query(all.count).fetch_one(&mut *writer).await?, "rows")?;
    let what = all.what;
    if rows > 0 {
        tracing::info!(rows, "moving {what} of an earlier release to the tables of this one");
    }
    let (mut moved, mut steps, mut reported_at) = (0, 0, env.monotonic());
    loop {
        let now = take_step(writer, all).await?;
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
            tracing::info!(moved, of = rows, "moving {what} of an earlier release");
        }
    }
    // All at once: without one of them the others would be in the way of the next start.
    writer.begin()?;
    for statement in all.drop {
        sql::query(statement).execute(&mut *writer).await?;
    }
    writer.commit().await?;
    if rows > 0 {
        merge_log(writer).await?;
        tracing::info!(moved, "all {what} of the earlier release are moved");
    }
    Ok(())
}

/// Moves some rows in a transaction. After an error the connection is dropped, and that rolls it back.
async fn take_step(writer: &mut Connection, of: &Move) -> Result<u64, StoreError> {
    writer.begin()?;
    let moved = (of.step)(writer).await?;
    writer.commit().await?;
    Ok(moved)
}

async fn has_table(connection: &mut Connection, name: &str) -> Result<bool, StoreError> {
    let row = sql::query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

async fn merge_log(connection: &mut Connection) -> Result<(), StoreError> {
    sql::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(connection).await?;
    Ok(())
}

/// Takes the first step of the first move that has rows, and returns how many rows it moved.
#[cfg(test)]
pub(super) async fn step(writer: &mut Connection) -> Result<u64, StoreError> {
    for all in MOVES {
        if has_table(writer, all.mark).await? {
            let moved = take_step(writer, all).await?;
            if moved > 0 {
                return Ok(moved);
            }
        }
    }
    Ok(0)
}

//! The outcomes of the latest mutations. A repeated mutation returns the first outcome.
//!
//! Most mutations need no row here, because the version or part that they made shows that they were done. Rows are for
//! mutations that leave nothing behind (deletes, tags, buckets), and for versions and parts that were made a moment ago
//! and are gone already.

use std::time::Duration;

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{MutationId, UploadId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sql_values::{json, number, to_json, to_number, to_time};
use super::{Connection, StoreError, sql};

/// How long an outcome is remembered. A gateway repeats a call for 20 seconds, and its last attempt may take as long as
/// any call ([`CALL_TIMEOUT`](cairn_protocol::rpc::CALL_TIMEOUT)). This is more than twice that sum.
pub(crate) const KEPT: Duration = Duration::from_secs(120);

/// Upper limit of the outcomes that are remembered, at some 60 bytes each; the oldest go first. It is what 8,000
/// deletes of objects a second amount to in [`KEPT`].
const ANSWERS_MAX: u64 = 1_000_000;

/// Old rows that are removed with each new one. It is more than one, so that a backlog of old rows shrinks.
const REMOVED_WITH_EACH: i64 = 8;

/// The outcome of the mutation of this id, if it was done and is still remembered.
pub(crate) async fn find<T: DeserializeOwned>(
    connection: &mut Connection,
    mutation: Option<MutationId>,
) -> Result<Option<T>, StoreError> {
    let Some(mutation) = mutation else { return Ok(None) };
    let row = sql::query("SELECT outcome FROM mutations WHERE mutation_id = $1")
        .bind(&mutation.as_bytes()[..])
        .fetch_optional(connection)
        .await?;
    row.map(|row| json(&row, "outcome")).transpose()
}

/// Remembers the outcome of a mutation, and removes some of the old rows.
pub(crate) async fn remember<T: Serialize>(
    tx: &mut Connection,
    mutation: Option<MutationId>,
    outcome: &T,
    now: Timestamp,
) -> Result<(), StoreError> {
    remember_many(tx, mutation, outcome, 1, now).await
}

/// Like [`remember`], for an outcome that holds several answers, as that of DeleteObjects. It counts as that many.
pub(crate) async fn remember_many<T: Serialize>(
    tx: &mut Connection,
    mutation: Option<MutationId>,
    outcome: &T,
    answers: usize,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(mutation) = mutation else { return Ok(()) };
    let row = sql::query(
        "INSERT INTO mutations (sequence, mutation_id, done_at, outcome)
         SELECT COALESCE(MAX(sequence), 0) + $4, $1, $2, $3 FROM mutations WHERE 1 = 1
         ON CONFLICT (mutation_id) DO NOTHING RETURNING sequence",
    )
    .bind(&mutation.as_bytes()[..])
    .bind(to_time(now))
    .bind(to_json(outcome, "outcome")?)
    .bind(to_number((answers as u64).max(1)))
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let sequence: u64 = number(&row, "sequence")?;
    remove_old(tx, now, sequence, REMOVED_WITH_EACH).await?;
    Ok(())
}

/// Remembers the parts of an upload that were stored within the last [`KEPT`]. Their rows are about to be removed, and
/// their gateways may not have received the outcome yet.
pub(crate) async fn remember_young_parts(
    tx: &mut Connection,
    upload: UploadId,
    now: Timestamp,
) -> Result<(), StoreError> {
    // The outcome is `PartCommitted` as JSON.
    sql::query(
        "INSERT INTO mutations (sequence, mutation_id, done_at, outcome)
         SELECT (SELECT COALESCE(MAX(sequence), 0) FROM mutations) + ROW_NUMBER() OVER (ORDER BY number),
                part_id, $2, '{\"modified_at\":' || CAST(modified_at AS TEXT) || '}'
         FROM parts WHERE upload_id = $1 AND modified_at > $3
         ON CONFLICT (mutation_id) DO NOTHING",
    )
    .bind(&upload.as_bytes()[..])
    .bind(to_time(now))
    .bind(to_time(now.before(KEPT)))
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes up to `max` outcomes that are too old. Returns how many it removed.
pub(crate) async fn forget_old(tx: &mut Connection, now: Timestamp, max: u32) -> Result<u64, StoreError> {
    let newest = sql::query("SELECT COALESCE(MAX(sequence), 0) AS sequence FROM mutations")
        .fetch_one(&mut *tx)
        .await?;
    let newest: u64 = number(&newest, "sequence")?;
    remove_old(tx, now, newest, i64::from(max)).await
}

/// Examines the `max` oldest rows, and removes those that are older than [`KEPT`] or too far behind the newest.
async fn remove_old(tx: &mut Connection, now: Timestamp, newest: u64, max: i64) -> Result<u64, StoreError> {
    let removed = sql::query(
        "DELETE FROM mutations WHERE sequence IN (SELECT sequence FROM mutations ORDER BY sequence LIMIT $3)
           AND (done_at < $1 OR sequence <= $2)",
    )
    .bind(to_time(now.before(KEPT)))
    .bind(to_number(newest.saturating_sub(ANSWERS_MAX)))
    .bind(max)
    .execute(tx)
    .await?;
    Ok(removed.rows_affected())
}

#[cfg(test)]
mod tests {
    use cairn_protocol::env::Env;

    use super::*;
    use crate::store::Store;

    async fn rows(store: &Store) -> i64 {
        let mut reader = store.read().await.unwrap();
        let row = sql::query("SELECT COUNT(*) AS rows FROM mutations").fetch_one(&mut reader).await.unwrap();
        row.get("rows")
    }

    async fn keep(store: &Store, mutation: MutationId, answers: usize, now: Timestamp) {
        store
            .write(move |tx| {
                Box::pin(async move { remember_many(tx, Some(mutation), &answers, answers, now).await })
            })
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn outcomes_are_bounded_in_age_and_in_number_of_answers() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("metanode.db"), &Env::system()).await.unwrap();
        let env = Env::system();
        let id = || MutationId(env.uuid_v7());
        let (start, first) = (Timestamp(1_000_000), id());
        keep(&store, first, 1, start).await;
        for _ in 0..20 {
            keep(&store, id(), 1, start.after(Duration::from_secs(1))).await;
        }
        assert_eq!(rows(&store).await, 21);
        let found = find::<usize>(&mut store.read().await.unwrap(), Some(first)).await.unwrap();
        assert_eq!(found, Some(1));
        // Three more rows remove the 21 old ones, because each removes up to eight.
        let later = start.after(KEPT + Duration::from_secs(2));
        for _ in 0..3 {
            keep(&store, id(), 1, later).await;
        }
        assert_eq!(rows(&store).await, 3);
        // Two rows, each with the largest number of answers: together they push out all older rows, and then the first
        // of the two.
        let large = usize::try_from(ANSWERS_MAX).unwrap();
        keep(&store, id(), large, later).await;
        let last = id();
        keep(&store, last, large, later).await;
        assert_eq!(rows(&store).await, 1);
        let found = find::<usize>(&mut store.read().await.unwrap(), Some(last)).await.unwrap();
        assert_eq!(found, Some(large));
        let long_after = later.after(KEPT * 2);
        let removed = store.write(move |tx| Box::pin(forget_old(tx, long_after, 10))).await.unwrap();
        assert_eq!((removed, rows(&store).await), (1, 0));
    }
}

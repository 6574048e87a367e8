//! From the release that kept one version of each key, in one table with the retired ones.

use futures_util::FutureExt;

use super::{Move, STEP};
use crate::store::{Connection, StoreError, sql};

pub(super) const MOVE: Move = Move {
    what: "objects",
    mark: "object_versions",
    count: "SELECT COUNT(*) AS rows FROM object_versions",
    step: |tx| step(tx).boxed(),
    drop: &["DROP TABLE object_versions"],
};

/// The current versions in the order in which they lie in the new table; when there are none left, the retired ones.
const CURRENT: &str =
    "SELECT version_id FROM object_versions WHERE is_current = 1 ORDER BY bucket_id, key LIMIT $1";
const RETIRED: &str = "SELECT version_id FROM object_versions LIMIT $1";

const MOVE_CURRENT: &str =
    "INSERT INTO versions_10 (bucket_id, key, sequence, version_id, null_state, is_delete_marker,
         length, etag, modified_at, part_count, attributes, tags)
     SELECT bucket_id, key, 0, version_id, 1, 0, length, etag, modified_at, part_count, attributes, tags
     FROM object_versions WHERE version_id = $1";
const MOVE_RETIRED: &str =
    "INSERT INTO retired_versions_10 (version_id, bucket_id, key, sequence, null_state, length,
         etag, modified_at, part_count, attributes, tags)
     SELECT version_id, bucket_id, key, 0, 1, length, etag, modified_at, part_count, attributes, tags
     FROM object_versions WHERE version_id = $1";

async fn step(tx: &mut Connection) -> Result<u64, StoreError> {
    for (find, insert) in [(CURRENT, MOVE_CURRENT), (RETIRED, MOVE_RETIRED)] {
        let rows = sql::query(find).bind(i64::from(STEP)).fetch_all(&mut *tx).await?;
        for row in &rows {
            let version: &[u8] = row.try_get("version_id")?;
            sql::query(insert).bind(version).execute(&mut *tx).await?;
            sql::query("DELETE FROM object_versions WHERE version_id = $1")
                .bind(version)
                .execute(&mut *tx)
                .await?;
        }
        if !rows.is_empty() {
            return Ok(rows.len() as u64);
        }
    }
    Ok(0)
}

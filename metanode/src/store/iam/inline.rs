//! The table of inline policies.

use cairn_protocol::iam::InlinePolicy;

use super::HolderId;
use crate::store::sql_values::text;
use crate::store::{Connection, StoreError, sql};

/// The inline policies of a holder, in the order of their names. Their sizes are limited together.
pub(crate) async fn list(
    connection: &mut Connection,
    holder: HolderId,
) -> Result<Vec<InlinePolicy>, StoreError> {
    let rows = sql::query("SELECT name, document FROM inline_policies WHERE holder_id = $1 ORDER BY name")
        .bind(holder.0)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| Ok(InlinePolicy { name: text(row, "name")?, document: text(row, "document")? }))
        .collect()
}

/// Creates or replaces an inline policy.
pub(crate) async fn put(
    tx: &mut Connection,
    holder: HolderId,
    name: &str,
    document: &str,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO inline_policies (holder_id, name, document) VALUES ($1, $2, $3)
         ON CONFLICT (holder_id, name) DO UPDATE SET document = excluded.document",
    )
    .bind(holder.0)
    .bind(name)
    .bind(document)
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes an inline policy; returns whether it existed.
pub(crate) async fn delete(tx: &mut Connection, holder: HolderId, name: &str) -> Result<bool, StoreError> {
    let done = sql::query("DELETE FROM inline_policies WHERE holder_id = $1 AND name = $2")
        .bind(holder.0)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

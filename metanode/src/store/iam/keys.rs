//! The table of access keys.

use cairn_protocol::env::Timestamp;
use cairn_protocol::iam::HolderTags;
use cairn_protocol::metadata::{Account, Identity, Quota};

use super::accounts::account;
use super::{AccountNumber, HolderId, PolicyId};
use crate::store::sql_values::{json, quota, text, time, to_time};
use crate::store::{Connection, Row, StoreError, sql};

/// An access key, with its secret as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredKey {
    pub(crate) access_key: String,
    pub(crate) is_active: bool,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: Timestamp,
}

/// An access key and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct FoundKey {
    pub(crate) sealed: Vec<u8>,
    pub(crate) identity: Identity,
    /// The user; `None` for the root user.
    pub(crate) holder: Option<HolderId>,
    pub(crate) boundary: Option<PolicyId>,
    /// The quota of the user.
    pub(crate) quota: Quota,
    /// The tags of the user.
    pub(crate) tags: HolderTags,
}

/// Creates an access key that is active; returns `false` if the id is taken.
pub(crate) async fn insert(
    tx: &mut Connection,
    (account, user): (AccountNumber, Option<HolderId>),
    access_key: &str,
    sealed: &[u8],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sql::query(
        "INSERT INTO access_keys (access_key, account_number, holder_id, is_active, sealed, created_at)
         VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(access_key)
    .bind(account.0)
    .bind(user.map(|user| user.0))
    .bind(sealed)
    .bind(to_time(now))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The keys of a user, or of the root user of the account, in the order of their creation.
pub(crate) async fn list(
    connection: &mut Connection,
    (account, user): (AccountNumber, Option<HolderId>),
) -> Result<Vec<StoredKey>, StoreError> {
    let rows = sql::query(
        "SELECT * FROM access_keys WHERE account_number = $1
           AND (holder_id = $2 OR (holder_id IS NULL AND $3 = 1)) ORDER BY created_at, access_key",
    )
    .bind(account.0)
    .bind(user.map(|user| user.0))
    .bind(i64::from(user.is_none()))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredKey {
                access_key: text(row, "access_key")?,
                is_active: row.try_get::<i64, _>("is_active")? == 1,
                sealed: row.try_get("sealed")?,
                created_at: time(row, "created_at")?,
            })
        })
        .collect()
}

/// Activates or deactivates a key.
pub(crate) async fn set_active(
    tx: &mut Connection,
    access_key: &str,
    active: bool,
) -> Result<(), StoreError> {
    sql::query("UPDATE access_keys SET is_active = $2 WHERE access_key = $1")
        .bind(access_key)
        .bind(i64::from(active))
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a key.
pub(crate) async fn delete(tx: &mut Connection, access_key: &str) -> Result<(), StoreError> {
    sql::query("DELETE FROM access_keys WHERE access_key = $1").bind(access_key).execute(tx).await?;
    Ok(())
}

/// Finds an active key of this id, and whose it is.
pub(crate) async fn find_active(
    connection: &mut Connection,
    access_key: &str,
) -> Result<Option<FoundKey>, StoreError> {
    let row = sql::query(
        "SELECT k.sealed, a.account_id, a.canonical_id, a.name AS account_name,
                h.holder_id, h.unique_id, h.path, h.name, h.boundary, h.quota_objects, h.quota_bytes,
                h.tags
         FROM access_keys k JOIN accounts a ON a.account_number = k.account_number
         LEFT JOIN holders h ON h.holder_id = k.holder_id
         WHERE k.access_key = $1 AND k.is_active = 1",
    )
    .bind(access_key)
    .fetch_optional(connection)
    .await?;
    row.map(|row| found(&row)).transpose()
}

fn found(row: &Row) -> Result<FoundKey, StoreError> {
    let holder: Option<i64> = row.try_get("holder_id")?;
    let boundary: Option<i64> = row.try_get("boundary")?;
    let account: Account = account(row, "account_name")?;
    let identity = match holder {
        None => Identity::Root { account },
        Some(_) => Identity::User {
            account,
            id: text(row, "unique_id")?,
            path: text(row, "path")?,
            name: text(row, "name")?,
        },
    };
    Ok(FoundKey {
        sealed: row.try_get("sealed")?,
        identity,
        holder: holder.map(HolderId),
        boundary: boundary.map(PolicyId),
        quota: quota(row)?,
        tags: if holder.is_some() { json(row, "tags")? } else { HolderTags::new() },
    })
}

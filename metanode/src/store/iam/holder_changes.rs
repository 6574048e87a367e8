//! Changes of the table of users, groups and roles.

use cairn_protocol::env::Timestamp;
use cairn_protocol::iam::HolderTags;

use super::holders::{Holder, NewHolder, RoleProperties, to_kind};
use super::{AccountNumber, HolderId, PolicyId, folded};
use crate::store::sql_values::{number, to_json, to_time};
use crate::store::{Connection, StoreError, sql};

/// Creates a user, group or role; returns `false` if the name is taken.
pub(crate) async fn insert(
    tx: &mut Connection,
    account: AccountNumber,
    new: &NewHolder,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let role = new.role.as_ref();
    let done = sql::query(
        "INSERT INTO holders (account_number, kind, unique_id, path, name, folded_name, created_at, boundary, tags,
                              description, trust, session_s_max)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
    )
    .bind(account.0)
    .bind(to_kind(new.kind))
    .bind(&new.unique_id)
    .bind(&new.path)
    .bind(&new.name)
    .bind(folded(&new.name))
    .bind(to_time(now))
    .bind(new.boundary.map(|policy| policy.0))
    .bind(to_json(&new.tags, "tags")?)
    .bind(role.map_or("", |role| &role.description))
    .bind(role.map(|role| &role.trust))
    .bind(role.map(|role| i64::from(role.session_s_max)))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets name and path; returns `false` if the name is another one's.
pub(crate) async fn rename(
    tx: &mut Connection,
    holder: &Holder,
    name: &str,
    path: &str,
) -> Result<bool, StoreError> {
    let done = sql::query(
        "UPDATE holders SET name = $2, folded_name = $3, path = $4 WHERE holder_id = $1 AND NOT EXISTS
            (SELECT 1 FROM holders o WHERE o.account_number = holders.account_number AND o.kind = holders.kind
                                       AND o.folded_name = $3 AND o.holder_id <> $1)",
    )
    .bind(holder.holder.0)
    .bind(name)
    .bind(folded(name))
    .bind(path)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces what only a role has.
pub(crate) async fn set_role(
    tx: &mut Connection,
    holder: HolderId,
    role: &RoleProperties,
) -> Result<(), StoreError> {
    sql::query("UPDATE holders SET description = $2, trust = $3, session_s_max = $4 WHERE holder_id = $1")
        .bind(holder.0)
        .bind(&role.description)
        .bind(&role.trust)
        .bind(i64::from(role.session_s_max))
        .execute(tx)
        .await?;
    Ok(())
}

/// Sets or removes the permissions boundary.
pub(crate) async fn set_boundary(
    tx: &mut Connection,
    holder: HolderId,
    boundary: Option<PolicyId>,
) -> Result<(), StoreError> {
    sql::query("UPDATE holders SET boundary = $2 WHERE holder_id = $1")
        .bind(holder.0)
        .bind(boundary.map(|policy| policy.0))
        .execute(tx)
        .await?;
    Ok(())
}

/// Replaces the tags.
pub(crate) async fn set_tags(
    tx: &mut Connection,
    holder: HolderId,
    tags: &HolderTags,
) -> Result<(), StoreError> {
    sql::query("UPDATE holders SET tags = $2 WHERE holder_id = $1")
        .bind(holder.0)
        .bind(to_json(tags, "tags")?)
        .execute(tx)
        .await?;
    Ok(())
}

/// What keeps a user, group or role from being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ties {
    pub(crate) keys: u64,
    pub(crate) inline: u64,
    pub(crate) attached: u64,
    /// Groups of a user, or members of a group.
    pub(crate) memberships: u64,
}

/// Counts what keeps a user, group or role from being deleted.
pub(crate) async fn ties(connection: &mut Connection, holder: HolderId) -> Result<Ties, StoreError> {
    let row = sql::query(
        "SELECT (SELECT COUNT(*) FROM access_keys WHERE account_number = h.account_number
                                                  AND holder_id = h.holder_id) AS keys,
                (SELECT COUNT(*) FROM inline_policies WHERE holder_id = h.holder_id) AS inline,
                (SELECT COUNT(*) FROM policy_attachments WHERE holder_id = h.holder_id) AS attached,
                (SELECT COUNT(*) FROM group_members WHERE user_id = h.holder_id)
                + (SELECT COUNT(*) FROM group_members WHERE group_id = h.holder_id) AS memberships
         FROM holders h WHERE h.holder_id = $1",
    )
    .bind(holder.0)
    .fetch_one(connection)
    .await?;
    Ok(Ties {
        keys: number(&row, "keys")?,
        inline: number(&row, "inline")?,
        attached: number(&row, "attached")?,
        memberships: number(&row, "memberships")?,
    })
}

/// Deletes a user, group or role without ties.
pub(crate) async fn delete(tx: &mut Connection, holder: HolderId) -> Result<(), StoreError> {
    sql::query("DELETE FROM holders WHERE holder_id = $1").bind(holder.0).execute(tx).await?;
    Ok(())
}

//! Which users are in which groups.

use super::HolderId;
use crate::store::{Connection, StoreError, sql};

/// Adds a user to a group. Nothing happens if it is a member.
pub(crate) async fn insert(tx: &mut Connection, group: HolderId, user: HolderId) -> Result<(), StoreError> {
    sql::query("INSERT INTO group_members (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(group.0)
        .bind(user.0)
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes a user from a group; returns whether it was a member.
pub(crate) async fn delete(tx: &mut Connection, group: HolderId, user: HolderId) -> Result<bool, StoreError> {
    let done = sql::query("DELETE FROM group_members WHERE group_id = $1 AND user_id = $2")
        .bind(group.0)
        .bind(user.0)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

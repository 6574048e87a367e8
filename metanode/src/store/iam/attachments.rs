//! Which managed policies apply to which users, groups and roles: as attached ones, or as permissions boundaries.

use cairn_protocol::iam::PolicyHolder;

use super::holders::kind;
use super::{AccountNumber, HolderId, PolicyId};
use crate::store::sql_values::{number, text};
use crate::store::{Connection, StoreError, sql};

/// Attaches a policy. Nothing happens if it is attached.
pub(crate) async fn insert(
    tx: &mut Connection,
    holder: HolderId,
    policy: PolicyId,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO policy_attachments (holder_id, policy_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(holder.0)
    .bind(policy.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// Detaches a policy; returns whether it was attached.
pub(crate) async fn delete(
    tx: &mut Connection,
    holder: HolderId,
    policy: PolicyId,
) -> Result<bool, StoreError> {
    let done = sql::query("DELETE FROM policy_attachments WHERE holder_id = $1 AND policy_id = $2")
        .bind(holder.0)
        .bind(policy.0)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The policies that are attached to a holder, each with its path and name unless it is built in.
pub(crate) async fn of_holder(
    connection: &mut Connection,
    holder: HolderId,
) -> Result<Vec<(PolicyId, Option<(String, String)>)>, StoreError> {
    let rows = sql::query(
        "SELECT t.policy_id, p.path, p.name FROM policy_attachments t
         LEFT JOIN policies p ON p.policy_id = t.policy_id WHERE t.holder_id = $1",
    )
    .bind(holder.0)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let path: Option<String> = row.try_get("path")?;
            let name: Option<String> = row.try_get("name")?;
            Ok((PolicyId(row.try_get("policy_id")?), path.zip(name)))
        })
        .collect()
}

/// How many holders of an account a policy is attached to, and of how many it is the boundary.
pub(crate) async fn count(
    connection: &mut Connection,
    account: AccountNumber,
    policy: PolicyId,
) -> Result<(u64, u64), StoreError> {
    let row = sql::query(
        "SELECT (SELECT COUNT(*) FROM policy_attachments t JOIN holders h ON h.holder_id = t.holder_id
                 WHERE t.policy_id = $2 AND h.account_number = $1) AS attachments,
                (SELECT COUNT(*) FROM holders h WHERE h.boundary = $2 AND h.account_number = $1) AS boundaries",
    )
    .bind(account.0)
    .bind(policy.0)
    .fetch_one(connection)
    .await?;
    Ok((number(&row, "attachments")?, number(&row, "boundaries")?))
}

/// Up to `max` holders of an account behind the number `after` that a policy applies to, each with its number.
pub(crate) async fn of_policy(
    connection: &mut Connection,
    account: AccountNumber,
    policy: PolicyId,
    after: i64,
    max: u32,
) -> Result<Vec<(i64, PolicyHolder)>, StoreError> {
    let rows = sql::query(
        "SELECT h.holder_id, h.kind, h.unique_id, h.name, h.boundary,
                EXISTS (SELECT 1 FROM policy_attachments t
                        WHERE t.policy_id = $2 AND t.holder_id = h.holder_id) AS attached
         FROM holders h
         WHERE h.account_number = $1 AND h.holder_id > $3 AND h.holder_id IN
             (SELECT holder_id FROM policy_attachments WHERE policy_id = $2
              UNION ALL SELECT holder_id FROM holders WHERE boundary = $2)
         ORDER BY h.holder_id LIMIT $4",
    )
    .bind(account.0)
    .bind(policy.0)
    .bind(after)
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let boundary: Option<i64> = row.try_get("boundary")?;
            let holder = PolicyHolder {
                kind: kind(row)?,
                id: text(row, "unique_id")?,
                name: text(row, "name")?,
                attached: row.try_get("attached")?,
                boundary: boundary == Some(policy.0),
            };
            Ok((row.try_get("holder_id")?, holder))
        })
        .collect()
}

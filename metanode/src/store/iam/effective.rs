//! The policy documents that apply to a user or role: two statements, whatever it holds.

use super::{HolderId, PolicyId};
use crate::store::{Connection, StoreError, sql};

/// The inline and the attached policies of a holder and, if it is a user, of its groups. For a policy that is built in, the
/// document is `None`.
pub(crate) async fn documents(
    connection: &mut Connection,
    holder: HolderId,
) -> Result<Vec<(PolicyId, Option<String>)>, StoreError> {
    let rows = sql::query(
        "WITH own AS (SELECT $1 AS holder_id UNION ALL SELECT group_id FROM group_members WHERE user_id = $1)
         SELECT 0 AS policy_id, i.document FROM inline_policies i
         WHERE i.holder_id IN (SELECT holder_id FROM own)
         UNION ALL
         SELECT t.policy_id, v.document
         FROM (SELECT DISTINCT policy_id FROM policy_attachments
               WHERE holder_id IN (SELECT holder_id FROM own)) t
         LEFT JOIN policies p ON p.policy_id = t.policy_id
         LEFT JOIN policy_versions v ON v.policy_id = p.policy_id AND v.version = p.default_version",
    )
    .bind(holder.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((PolicyId(row.try_get("policy_id")?), row.try_get("document")?))).collect()
}

/// The document of a policy's default version; `None` if the policy is built in.
pub(crate) async fn document(
    connection: &mut Connection,
    policy: PolicyId,
) -> Result<Option<String>, StoreError> {
    let row = sql::query(
        "SELECT v.document FROM policies p
         JOIN policy_versions v ON v.policy_id = p.policy_id AND v.version = p.default_version
         WHERE p.policy_id = $1",
    )
    .bind(policy.0)
    .fetch_optional(connection)
    .await?;
    row.map(|row| row.try_get("document")).transpose()
}

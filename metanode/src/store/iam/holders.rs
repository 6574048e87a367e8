//! The table of users, groups and roles: what a row is, and finding rows.

use cairn_protocol::env::Timestamp;
use cairn_protocol::iam::{HolderKind, HolderTags};
use cairn_protocol::metadata::{Quota, Usage};

use super::{AccountNumber, HolderId, PolicyId, folded};
use crate::store::sql_values::{json, number, quota, text, time};
use crate::store::{Connection, Row, StoreError, sql};

/// A user, group or role.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub(crate) holder: HolderId,
    pub(crate) properties: NewHolder,
    pub(crate) created_at: Timestamp,
    /// Path and name of the policy that is the boundary, unless it is built in.
    pub(crate) boundary_name: Option<(String, String)>,
    /// How much a user may write.
    pub(crate) quota: Quota,
    /// What is there that a user wrote.
    pub(crate) usage: Usage,
}

/// What a user, group or role is created with.
#[derive(Clone, Debug)]
pub(crate) struct NewHolder {
    pub(crate) kind: HolderKind,
    pub(crate) unique_id: String,
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) boundary: Option<PolicyId>,
    pub(crate) tags: HolderTags,
    pub(crate) role: Option<RoleProperties>,
}

/// What only a role has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleProperties {
    pub(crate) description: String,
    pub(crate) trust: String,
    pub(crate) session_s_max: u32,
}

/// The columns of a holder, with the name of its boundary. A statement continues with `WHERE`.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT h.*, b.path AS boundary_path, b.name AS boundary_name,
                    COALESCE(u.objects, 0) AS used_objects, COALESCE(u.bytes, 0) AS used_bytes FROM holders h
             LEFT JOIN policies b ON b.policy_id = h.boundary
             LEFT JOIN user_usage u ON u.user_id = h.holder_id ",
            $rest
        )
    };
}

/// Finds the user, group or role of this name.
pub(crate) async fn find(
    connection: &mut Connection,
    account: AccountNumber,
    kind: HolderKind,
    name: &str,
) -> Result<Option<Holder>, StoreError> {
    let row = sql::query(select!("WHERE h.account_number = $1 AND h.kind = $2 AND h.folded_name = $3"))
        .bind(account.0)
        .bind(to_kind(kind))
        .bind(folded(name))
        .fetch_optional(connection)
        .await?;
    row.map(|row| holder(&row)).transpose()
}

/// Finds the user, group or role of this unique id.
pub(crate) async fn find_by_id(
    connection: &mut Connection,
    account: AccountNumber,
    kind: HolderKind,
    unique_id: &str,
) -> Result<Option<Holder>, StoreError> {
    let row = sql::query(select!("WHERE h.account_number = $1 AND h.kind = $2 AND h.unique_id = $3"))
        .bind(account.0)
        .bind(to_kind(kind))
        .bind(unique_id)
        .fetch_optional(connection)
        .await?;
    row.map(|row| holder(&row)).transpose()
}

/// Up to `max` users, groups or roles behind the name `after`, whose path begins with `path_prefix`, in the order of their
/// names.
pub(crate) async fn list(
    connection: &mut Connection,
    account: AccountNumber,
    kind: HolderKind,
    path_prefix: &str,
    after: &str,
    max: u32,
) -> Result<Vec<Holder>, StoreError> {
    let rows = sql::query(select!(
        "WHERE h.account_number = $1 AND h.kind = $2 AND h.folded_name > $3 AND substr(h.path, 1, length($4)) = $4
         ORDER BY h.folded_name LIMIT $5"
    ))
    .bind(account.0)
    .bind(to_kind(kind))
    .bind(folded(after))
    .bind(path_prefix)
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(holder).collect()
}

/// Up to `max` members of a group behind the name `after`, in the order of their names.
pub(crate) async fn members(
    connection: &mut Connection,
    group: HolderId,
    after: &str,
    max: u32,
) -> Result<Vec<Holder>, StoreError> {
    let rows = sql::query(select!(
        "JOIN group_members m ON m.user_id = h.holder_id
         WHERE m.group_id = $1 AND h.folded_name > $2 ORDER BY h.folded_name LIMIT $3"
    ))
    .bind(group.0)
    .bind(folded(after))
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(holder).collect()
}

/// The groups of a user, in the order of their names.
pub(crate) async fn groups(connection: &mut Connection, user: HolderId) -> Result<Vec<Holder>, StoreError> {
    let rows = sql::query(select!(
        "JOIN group_members m ON m.group_id = h.holder_id WHERE m.user_id = $1 ORDER BY h.folded_name"
    ))
    .bind(user.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(holder).collect()
}

/// The column's value for a kind.
pub(super) fn to_kind(kind: HolderKind) -> i64 {
    match kind {
        HolderKind::User => 0,
        HolderKind::Group => 1,
        HolderKind::Role => 2,
    }
}

/// Reads a kind from the column `kind`.
pub(super) fn kind(row: &Row) -> Result<HolderKind, StoreError> {
    match row.try_get("kind")? {
        0i64 => Ok(HolderKind::User),
        1 => Ok(HolderKind::Group),
        2 => Ok(HolderKind::Role),
        _ => Err(StoreError::Corrupt { column: "kind" }),
    }
}

fn holder(row: &Row) -> Result<Holder, StoreError> {
    let boundary: Option<i64> = row.try_get("boundary")?;
    let boundary_path: Option<String> = row.try_get("boundary_path")?;
    let boundary_name: Option<String> = row.try_get("boundary_name")?;
    let trust: Option<String> = row.try_get("trust")?;
    let role = match trust {
        None => None,
        Some(trust) => Some(RoleProperties {
            description: text(row, "description")?,
            trust,
            session_s_max: number(row, "session_s_max")?,
        }),
    };
    Ok(Holder {
        holder: HolderId(row.try_get("holder_id")?),
        properties: NewHolder {
            kind: kind(row)?,
            unique_id: text(row, "unique_id")?,
            path: text(row, "path")?,
            name: text(row, "name")?,
            boundary: boundary.map(PolicyId),
            tags: json(row, "tags")?,
            role,
        },
        created_at: time(row, "created_at")?,
        boundary_name: boundary_path.zip(boundary_name),
        quota: quota(row)?,
        usage: Usage { objects: number(row, "used_objects")?, bytes: number(row, "used_bytes")? },
    })
}

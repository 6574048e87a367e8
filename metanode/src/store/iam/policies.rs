//! The tables of managed policies and their versions.

use cairn_protocol::env::Timestamp;

use super::{AccountNumber, PolicyId, folded};
use crate::store::sql_values::{number, text, time, to_time};
use crate::store::{Connection, Row, StoreError, sql};

/// A managed policy of an account.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) policy: PolicyId,
    pub(crate) properties: NewPolicy,
    pub(crate) default_version: u32,
    pub(crate) attachments: u64,
    pub(crate) boundaries: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// What a managed policy is created with, besides its document.
#[derive(Clone, Debug)]
pub(crate) struct NewPolicy {
    pub(crate) unique_id: String,
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) description: String,
}

/// A version of a managed policy.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) version: u32,
    pub(crate) document: String,
    pub(crate) created_at: Timestamp,
}

/// The columns of a policy, with counts of where it applies. A statement continues with `WHERE`.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT p.*,
                    (SELECT COUNT(*) FROM policy_attachments t WHERE t.policy_id = p.policy_id) AS attachments,
                    (SELECT COUNT(*) FROM holders h WHERE h.boundary = p.policy_id) AS boundaries
             FROM policies p ",
            $rest
        )
    };
}

/// Creates a policy without versions; returns `None` if the name is taken.
pub(crate) async fn insert(
    tx: &mut Connection,
    account: AccountNumber,
    new: &NewPolicy,
    now: Timestamp,
) -> Result<Option<PolicyId>, StoreError> {
    let row = sql::query(
        "INSERT INTO policies (account_number, unique_id, path, name, folded_name, description, default_version,
                               last_version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, 1, 0, $7, $7) ON CONFLICT DO NOTHING RETURNING policy_id",
    )
    .bind(account.0)
    .bind(&new.unique_id)
    .bind(&new.path)
    .bind(&new.name)
    .bind(folded(&new.name))
    .bind(&new.description)
    .bind(to_time(now))
    .fetch_optional(tx)
    .await?;
    row.map(|row| Ok(PolicyId(row.try_get("policy_id")?))).transpose()
}

/// Finds the policy of this name.
pub(crate) async fn find(
    connection: &mut Connection,
    account: AccountNumber,
    name: &str,
) -> Result<Option<Policy>, StoreError> {
    let row = sql::query(select!("WHERE p.account_number = $1 AND p.folded_name = $2"))
        .bind(account.0)
        .bind(folded(name))
        .fetch_optional(connection)
        .await?;
    row.map(|row| policy(&row)).transpose()
}

/// Up to `max` policies behind the name `after`, whose path begins with `path_prefix`, in the order of their names.
pub(crate) async fn list(
    connection: &mut Connection,
    account: AccountNumber,
    (path_prefix, only_attached): (&str, bool),
    after: &str,
    max: u32,
) -> Result<Vec<Policy>, StoreError> {
    let rows = sql::query(select!(
        "WHERE p.account_number = $1 AND p.folded_name > $2 AND substr(p.path, 1, length($3)) = $3
           AND ($4 = 0 OR EXISTS (SELECT 1 FROM policy_attachments t WHERE t.policy_id = p.policy_id))
         ORDER BY p.folded_name LIMIT $5"
    ))
    .bind(account.0)
    .bind(folded(after))
    .bind(path_prefix)
    .bind(i64::from(only_attached))
    .bind(i64::from(max))
    .fetch_all(connection)
    .await?;
    rows.iter().map(policy).collect()
}

/// Adds a version of the next number.
pub(crate) async fn add_version(
    tx: &mut Connection,
    policy: PolicyId,
    document: &str,
    now: Timestamp,
) -> Result<u32, StoreError> {
    let row = sql::query(
        "UPDATE policies SET last_version = last_version + 1 WHERE policy_id = $1 RETURNING last_version",
    )
    .bind(policy.0)
    .fetch_one(&mut *tx)
    .await?;
    let version: u32 = number(&row, "last_version")?;
    sql::query(
        "INSERT INTO policy_versions (policy_id, version, document, created_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(policy.0)
    .bind(i64::from(version))
    .bind(document)
    .bind(to_time(now))
    .execute(tx)
    .await?;
    Ok(version)
}

/// The versions of a policy, the latest first. There are up to five.
pub(crate) async fn versions(
    connection: &mut Connection,
    policy: PolicyId,
) -> Result<Vec<Version>, StoreError> {
    let rows = sql::query("SELECT * FROM policy_versions WHERE policy_id = $1 ORDER BY version DESC")
        .bind(policy.0)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Version {
                version: number(row, "version")?,
                document: text(row, "document")?,
                created_at: time(row, "created_at")?,
            })
        })
        .collect()
}

/// Makes a version the default.
pub(crate) async fn set_default(
    tx: &mut Connection,
    policy: PolicyId,
    version: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    sql::query("UPDATE policies SET default_version = $2, updated_at = $3 WHERE policy_id = $1")
        .bind(policy.0)
        .bind(i64::from(version))
        .bind(to_time(now))
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a version.
pub(crate) async fn delete_version(
    tx: &mut Connection,
    policy: PolicyId,
    version: u32,
) -> Result<(), StoreError> {
    sql::query("DELETE FROM policy_versions WHERE policy_id = $1 AND version = $2")
        .bind(policy.0)
        .bind(i64::from(version))
        .execute(tx)
        .await?;
    Ok(())
}

/// Deletes a policy that applies to nothing, and its versions.
pub(crate) async fn delete(tx: &mut Connection, policy: PolicyId) -> Result<(), StoreError> {
    for statement in
        ["DELETE FROM policy_versions WHERE policy_id = $1", "DELETE FROM policies WHERE policy_id = $1"]
    {
        sql::query(statement).bind(policy.0).execute(&mut *tx).await?;
    }
    Ok(())
}

fn policy(row: &Row) -> Result<Policy, StoreError> {
    Ok(Policy {
        policy: PolicyId(row.try_get("policy_id")?),
        properties: NewPolicy {
            unique_id: text(row, "unique_id")?,
            path: text(row, "path")?,
            name: text(row, "name")?,
            description: text(row, "description")?,
        },
        default_version: number(row, "default_version")?,
        attachments: number(row, "attachments")?,
        boundaries: number(row, "boundaries")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

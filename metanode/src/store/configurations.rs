//! The documents of buckets and accounts: what each is configured to do.

use cairn_protocol::metadata::{BucketConfiguration, ConfigurationKind};

use super::buckets::BucketId;
use super::sql_values::{number, text};
use super::{Connection, StoreError, sql};

/// All documents of a bucket.
pub(crate) async fn all(
    connection: &mut Connection,
    bucket: BucketId,
) -> Result<Vec<BucketConfiguration>, StoreError> {
    let rows = sql::query("SELECT kind, revision, document FROM bucket_configurations WHERE bucket_id = $1")
        .bind(bucket.0)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let name: &str = row.try_get("kind")?;
            let kind = ConfigurationKind::IMPLEMENTED.into_iter().find(|kind| kind.name() == name);
            Ok(BucketConfiguration {
                kind: kind.ok_or(StoreError::Corrupt { column: "kind" })?,
                revision: number(row, "revision")?,
                document: text(row, "document")?,
            })
        })
        .collect()
}

/// The revision of a document; 0 if there is none.
pub(crate) async fn revision(
    connection: &mut Connection,
    bucket: BucketId,
    kind: ConfigurationKind,
) -> Result<u64, StoreError> {
    let row = sql::query("SELECT revision FROM bucket_configurations WHERE bucket_id = $1 AND kind = $2")
        .bind(bucket.0)
        .bind(kind.name())
        .fetch_optional(connection)
        .await?;
    row.map_or(Ok(0), |row| number(&row, "revision"))
}

/// Puts a document, in place of the one that there is. Returns its revision.
pub(crate) async fn put(
    tx: &mut Connection,
    bucket: BucketId,
    kind: ConfigurationKind,
    document: &str,
) -> Result<u64, StoreError> {
    let row = sql::query(
        "UPDATE buckets SET configuration_revision = configuration_revision + 1 WHERE bucket_id = $1
         RETURNING configuration_revision",
    )
    .bind(bucket.0)
    .fetch_one(&mut *tx)
    .await?;
    let revision: i64 = row.try_get("configuration_revision")?;
    sql::query(
        "INSERT INTO bucket_configurations (bucket_id, kind, revision, document) VALUES ($1, $2, $3, $4)
         ON CONFLICT (bucket_id, kind) DO UPDATE SET revision = excluded.revision, document = excluded.document",
    )
    .bind(bucket.0)
    .bind(kind.name())
    .bind(revision)
    .bind(document)
    .execute(tx)
    .await?;
    number(&row, "configuration_revision")
}

/// Deletes a document, if there is one.
pub(crate) async fn delete(
    tx: &mut Connection,
    bucket: BucketId,
    kind: ConfigurationKind,
) -> Result<(), StoreError> {
    sql::query("DELETE FROM bucket_configurations WHERE bucket_id = $1 AND kind = $2")
        .bind(bucket.0)
        .bind(kind.name())
        .execute(tx)
        .await?;
    Ok(())
}

/// A document of an account; `None` if there is none.
pub(crate) async fn of_account(
    connection: &mut Connection,
    account: &str,
    kind: ConfigurationKind,
) -> Result<Option<String>, StoreError> {
    let row = sql::query("SELECT document FROM account_configurations WHERE account_id = $1 AND kind = $2")
        .bind(account)
        .bind(kind.name())
        .fetch_optional(connection)
        .await?;
    row.map(|row| text(&row, "document")).transpose()
}

/// Puts a document of an account that exists, in place of the one that there is.
pub(crate) async fn put_of_account(
    tx: &mut Connection,
    account: &str,
    kind: ConfigurationKind,
    document: &str,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO account_configurations (account_id, kind, document) VALUES ($1, $2, $3)
         ON CONFLICT (account_id, kind) DO UPDATE SET document = excluded.document",
    )
    .bind(account)
    .bind(kind.name())
    .bind(document)
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a document of an account, if there is one.
pub(crate) async fn delete_of_account(
    tx: &mut Connection,
    account: &str,
    kind: ConfigurationKind,
) -> Result<(), StoreError> {
    sql::query("DELETE FROM account_configurations WHERE account_id = $1 AND kind = $2")
        .bind(account)
        .bind(kind.name())
        .execute(tx)
        .await?;
    Ok(())
}

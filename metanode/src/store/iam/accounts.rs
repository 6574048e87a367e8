//! The table of accounts.

use cairn_protocol::env::Timestamp;
use cairn_protocol::iam::AccountEntry;
use cairn_protocol::metadata::Account;

use super::AccountNumber;
use crate::store::sql_values::{text, time, to_time};
use crate::store::{Connection, Row, StoreError, sql};

/// Creates an account; returns `None` if one of its ids is taken.
pub(crate) async fn insert(
    tx: &mut Connection,
    account: &Account,
    now: Timestamp,
) -> Result<Option<AccountNumber>, StoreError> {
    let row = sql::query(
        "INSERT INTO accounts (account_id, canonical_id, name, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING RETURNING account_number",
    )
    .bind(&account.id)
    .bind(&account.canonical_id)
    .bind(&account.display_name)
    .bind(to_time(now))
    .fetch_optional(tx)
    .await?;
    row.map(|row| Ok(AccountNumber(row.try_get("account_number")?))).transpose()
}

/// Finds the account of this id.
pub(crate) async fn find(
    connection: &mut Connection,
    id: &str,
) -> Result<Option<(AccountNumber, AccountEntry)>, StoreError> {
    let row = sql::query("SELECT * FROM accounts WHERE account_id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok((AccountNumber(row.try_get("account_number")?), entry(&row)?))).transpose()
}

/// Up to `max` accounts behind the id `after`, in the order of their ids.
pub(crate) async fn list(
    connection: &mut Connection,
    after: &str,
    max: u32,
) -> Result<Vec<AccountEntry>, StoreError> {
    let rows = sql::query("SELECT * FROM accounts WHERE account_id > $1 ORDER BY account_id LIMIT $2")
        .bind(after)
        .bind(i64::from(max))
        .fetch_all(connection)
        .await?;
    rows.iter().map(entry).collect()
}

/// Finds the account of this canonical user id.
pub(crate) async fn find_by_canonical_id(
    connection: &mut Connection,
    canonical_id: &str,
) -> Result<Option<AccountEntry>, StoreError> {
    let row = sql::query("SELECT * FROM accounts WHERE canonical_id = $1")
        .bind(canonical_id)
        .fetch_optional(connection)
        .await?;
    row.map(|row| entry(&row)).transpose()
}

/// Whether anything but keys of the root user belongs to an account.
pub(crate) async fn is_in_use(
    connection: &mut Connection,
    account: AccountNumber,
) -> Result<bool, StoreError> {
    let row = sql::query(
        "SELECT 1 AS found WHERE EXISTS (SELECT 1 FROM holders WHERE account_number = $1)
           OR EXISTS (SELECT 1 FROM policies WHERE account_number = $1)
           OR EXISTS (SELECT 1 FROM oidc_providers WHERE account_number = $1)
           OR EXISTS (SELECT 1 FROM accounts JOIN buckets ON buckets.owner_account = accounts.account_id
                      WHERE account_number = $1)",
    )
    .bind(account.0)
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// Deletes an account that is not in use, and the keys of its root user.
pub(crate) async fn delete(tx: &mut Connection, account: AccountNumber) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM access_keys WHERE account_number = $1",
        "DELETE FROM accounts WHERE account_number = $1",
    ] {
        sql::query(statement).bind(account.0).execute(&mut *tx).await?;
    }
    Ok(())
}

/// The account in a row.
pub(super) fn account(row: &Row, name: &'static str) -> Result<Account, StoreError> {
    Ok(Account {
        id: text(row, "account_id")?,
        canonical_id: text(row, "canonical_id")?,
        display_name: text(row, name)?,
    })
}

fn entry(row: &Row) -> Result<AccountEntry, StoreError> {
    Ok(AccountEntry { account: account(row, "name")?, created_at: time(row, "created_at")? })
}

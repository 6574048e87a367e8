//! The table of providers of OpenID Connect.

use cairn_protocol::env::Timestamp;

use super::AccountNumber;
use crate::store::sql_values::{json, text, time, to_json, to_time};
use crate::store::{Connection, Row, StoreError, sql};

/// A provider. Its URL is without `https://`, or begins with `http://`.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) url: String,
    pub(crate) client_ids: Vec<String>,
    pub(crate) thumbprints: Vec<String>,
    pub(crate) created_at: Timestamp,
}

/// Creates a provider; returns `false` if the account has one of this URL.
pub(crate) async fn insert(
    tx: &mut Connection,
    account: AccountNumber,
    provider: &Provider,
) -> Result<bool, StoreError> {
    let done = sql::query(
        "INSERT INTO oidc_providers (account_number, url, client_ids, thumbprints, created_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(account.0)
    .bind(&provider.url)
    .bind(to_json(&provider.client_ids, "client_ids")?)
    .bind(to_json(&provider.thumbprints, "thumbprints")?)
    .bind(to_time(provider.created_at))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The providers of an account, in the order of their URLs.
pub(crate) async fn list(
    connection: &mut Connection,
    account: AccountNumber,
) -> Result<Vec<Provider>, StoreError> {
    let rows = sql::query("SELECT * FROM oidc_providers WHERE account_number = $1 ORDER BY url")
        .bind(account.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(provider).collect()
}

/// Finds the provider of this URL.
pub(crate) async fn find(
    connection: &mut Connection,
    account: AccountNumber,
    url: &str,
) -> Result<Option<Provider>, StoreError> {
    let row = sql::query("SELECT * FROM oidc_providers WHERE account_number = $1 AND url = $2")
        .bind(account.0)
        .bind(url)
        .fetch_optional(connection)
        .await?;
    row.map(|row| provider(&row)).transpose()
}

/// Replaces the client ids and the thumbprints of a provider.
pub(crate) async fn update(
    tx: &mut Connection,
    account: AccountNumber,
    provider: &Provider,
) -> Result<(), StoreError> {
    sql::query(
        "UPDATE oidc_providers SET client_ids = $3, thumbprints = $4 WHERE account_number = $1 AND url = $2",
    )
    .bind(account.0)
    .bind(&provider.url)
    .bind(to_json(&provider.client_ids, "client_ids")?)
    .bind(to_json(&provider.thumbprints, "thumbprints")?)
    .execute(tx)
    .await?;
    Ok(())
}

/// Deletes a provider; returns whether it existed.
pub(crate) async fn delete(
    tx: &mut Connection,
    account: AccountNumber,
    url: &str,
) -> Result<bool, StoreError> {
    let done = sql::query("DELETE FROM oidc_providers WHERE account_number = $1 AND url = $2")
        .bind(account.0)
        .bind(url)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

fn provider(row: &Row) -> Result<Provider, StoreError> {
    Ok(Provider {
        url: text(row, "url")?,
        client_ids: json(row, "client_ids")?,
        thumbprints: json(row, "thumbprints")?,
        created_at: time(row, "created_at")?,
    })
}

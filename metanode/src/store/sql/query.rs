//! A statement with its values.

use std::borrow::Cow;

use tokio::task::coop::consume_budget;

use super::row::Row;
use super::value::{FromValue, Value};
use crate::store::{Connection, StoreError};

/// A statement, and the values of its parameters `$1`, `$2`…
#[derive(Clone, Debug)]
#[must_use = "a statement that is not executed does nothing"]
pub(crate) struct Query<'q> {
    sql: Cow<'static, str>,
    values: Vec<Value<'q>>,
}

/// A statement of constant text.
pub(crate) fn query<'q>(sql: &'static str) -> Query<'q> {
    Query { sql: sql.into(), values: Vec::new() }
}

/// A statement whose text a test put together. Values never belong into the text: they are [bound](Query::bind).
#[cfg(test)]
pub(crate) fn query_built<'q>(sql: String) -> Query<'q> {
    Query { sql: sql.into(), values: Vec::new() }
}

/// A statement of constant text that returns one column.
pub(crate) fn query_scalar<'q>(sql: &'static str) -> Scalar<'q> {
    Scalar(query(sql))
}

/// What a statement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(super) rows: u64,
}

impl Done {
    /// The number of rows that it inserted, changed or deleted.
    pub(crate) fn rows_affected(self) -> u64 {
        self.rows
    }
}

// A task that reads page after page waits for nothing, because statements block its thread. So it lets other tasks run now and
// then, as those do that wait for IO.
impl<'q> Query<'q> {
    /// Binds the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The text.
    pub(super) fn sql(&self) -> &Cow<'static, str> {
        &self.sql
    }

    /// The value of a parameter, counted from 1.
    pub(super) fn value(&self, parameter: usize) -> Option<&Value<'q>> {
        self.values.get(parameter.checked_sub(1)?)
    }

    /// Executes the statement. Rows that it returns are dropped.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn execute(self, connection: &mut Connection) -> Result<Done, StoreError> {
        consume_budget().await;
        connection.execute(&self)
    }

    /// All rows.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn fetch_all(self, connection: &mut Connection) -> Result<Vec<Row>, StoreError> {
        consume_budget().await;
        connection.rows(&self, usize::MAX)
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn fetch_optional(self, connection: &mut Connection) -> Result<Option<Row>, StoreError> {
        consume_budget().await;
        Ok(connection.rows(&self, 1)?.pop())
    }

    /// The first row.
    ///
    /// # Errors
    /// The database's, and if there is none.
    pub(crate) async fn fetch_one(self, connection: &mut Connection) -> Result<Row, StoreError> {
        let row = self.fetch_optional(connection).await?;
        Ok(row.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
    }
}

/// A statement that returns one column.
#[derive(Clone, Debug)]
#[must_use = "a statement that is not executed does nothing"]
pub(crate) struct Scalar<'q>(Query<'q>);

impl<'q> Scalar<'q> {
    /// Binds the next parameter.
    pub(crate) fn bind(self, value: impl Into<Value<'q>>) -> Self {
        Self(self.0.bind(value))
    }

    /// The value in the first row.
    ///
    /// # Errors
    /// The database's, and if there is no row.
    pub(crate) async fn fetch_one<T>(self, connection: &mut Connection) -> Result<T, StoreError>
    where
        T: for<'r> FromValue<'r>,
    {
        self.0.fetch_one(connection).await?.try_get(0)
    }

    /// The value in the first row, if there is one.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn fetch_optional<T>(self, connection: &mut Connection) -> Result<Option<T>, StoreError>
    where
        T: for<'r> FromValue<'r>,
    {
        self.0.fetch_optional(connection).await?.map(|row| row.try_get(0)).transpose()
    }
}

//! Statements, and how they reach the database.
//!
//! A statement of SQLite runs in the thread that asks for it. The driver of sqlx runs it in a thread of the connection, and sends
//! commands and single rows from one thread to the other. A look-up of one row takes SQLite a few microseconds, and each of those
//! hand-overs takes as long; with a dozen statements they were half of what a small PUT or GET cost. sqlx applies the migrations,
//! and is the way to other databases.
//!
//! | module | contents |
//! |---|---|
//! | `query` | a statement with its values |
//! | `value` | the values of columns and parameters |
//! | `row` | a row of a result |
//! | `database` | a connection to a file of SQLite |
//! | `pool` | connections for reading, a bounded number of them |

mod database;
mod pool;
mod query;
mod row;
mod value;

pub(super) use database::{Database, Options};
pub(super) use pool::{Place, Pool};
pub(super) use query::Done as QueryDone;
#[cfg(test)]
pub(crate) use query::query_built;
pub(crate) use query::{Query, query, query_scalar};
pub(crate) use row::Row;

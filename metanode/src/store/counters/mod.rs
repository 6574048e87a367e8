//! Counters: rows that count the rows of other tables, so that a question for a number costs no scan.
//!
//! Functions that insert or delete counted rows add the difference to the [`Deltas`] of their connection, next to the
//! statement. The writer writes each counter that changed once, before it commits. So a counter costs a transaction one
//! statement, however many rows and mutations it has. It is exact: it changes in the transaction of what it counts, and a
//! mutation that is rolled back takes its differences with it.
//!
//! | module | contents |
//! |---|---|
//! | `deltas` | the differences that are not written yet |
//! | `kinds` | what is counted, and the statements of each kind |
//! | `recount` | whether counters are right |
//!
//! A new kind is a variant of [`Counter`], its [`Statements`](kinds::Statements), and an invariant in `store/invariants.rs`.
//!
//! Architecture invariant: nothing else changes a counter. `usage` removes rows that are 0, and `upgrade` empties the tables before it
//! counts what was there before they were.

mod deltas;
mod kinds;
mod recount;
#[cfg(test)]
mod tests;

pub(crate) use deltas::Deltas;
pub(crate) use kinds::Counter;
pub(crate) use recount::{Comparison, all, compare, correct};

use std::ops::{Add, Neg};

use cairn_protocol::count;

use super::sql_values::to_number;
use super::{Connection, Row, StoreError, sql};

/// A difference of a counter: so many things more or fewer, and their bytes. Counters of what has no bytes ignore those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    things: i64,
    bytes: i64,
}

impl Amount {
    /// So many things, with so many bytes together.
    pub(crate) fn of(things: u64, bytes: u64) -> Self {
        Self { things: to_number(things), bytes: to_number(bytes) }
    }

    /// So many things more; below 0 for fewer.
    pub(crate) fn things(self) -> i64 {
        self.things
    }

    /// So many bytes more; below 0 for fewer.
    pub(crate) fn bytes(self) -> i64 {
        self.bytes
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            things: self.things.saturating_add(other.things),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

impl Neg for Amount {
    type Output = Self;
    fn neg(self) -> Self {
        Self { things: self.things.saturating_neg(), bytes: self.bytes.saturating_neg() }
    }
}

/// What a counter says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// How many there are.
    pub(crate) things: u64,
    /// Their bytes; 0 for a counter of what has no bytes.
    pub(crate) bytes: u64,
}

impl Counted {
    /// Reads the columns `things` and `bytes`.
    pub(super) fn from_row(row: &Row, counter: Counter) -> Result<Self, StoreError> {
        // Written by an earlier release, a number below zero is as wrong as one that falls below it now.
        let stored = Amount { things: row.try_get("things")?, bytes: row.try_get("bytes")? };
        Ok(Self::default().with(counter, stored))
    }

    /// This counter after a difference. If more was taken off than there was, it is logged, and the counter is 0.
    pub(super) fn with(self, counter: Counter, change: Amount) -> Self {
        Self {
            things: count::changed(self.things, change.things, counter),
            bytes: count::changed(self.bytes, change.bytes, counter),
        }
    }
}

/// What a counter says, with the differences of the open transaction.
///
/// # Errors
/// The database's.
pub(crate) async fn read(connection: &mut Connection, counter: Counter) -> Result<Counted, StoreError> {
    let statements = counter.statements();
    let row = counter.bind(sql::query(statements.read)).fetch_optional(&mut *connection).await?;
    let stored = row.map(|row| Counted::from_row(&row, counter)).transpose()?.unwrap_or_default();
    Ok(stored.with(counter, connection.deltas().of(counter)))
}

/// Writes the counters that the open transaction changed. They are written in the order of [`Counter`], the same in all
/// transactions, so that two writers of one database could not wait for each other's rows in a circle.
///
/// # Errors
/// The database's.
pub(super) async fn write(tx: &mut Connection) -> Result<(), StoreError> {
    for (counter, change) in tx.deltas().take() {
        let statements = counter.statements();
        let row = counter
            .bind(sql::query(statements.add).bind(change.things).bind(change.bytes))
            .fetch_one(&mut *tx)
            .await?;
        let (things, bytes): (i64, i64) = (row.try_get("things")?, row.try_get("bytes")?);
        if things < 0 || bytes < 0 {
            // Logged by `with`.
            let _ = Counted::from_row(&row, counter)?;
            counter.bind(sql::query(statements.raise)).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

//! A connection to a file of SQLite.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, OpenFlags, Statement};

use super::query::{Done, Query};
use super::row::{Columns, Row};
use super::value::Value;
use crate::store::StoreError;

/// Upper limit of prepared statements per connection: more than there are different ones.
const STATEMENTS_MAX: usize = 256;

/// How a file of SQLite is opened.
#[derive(Clone, Debug)]
pub(in crate::store) struct Options {
    file: PathBuf,
    create: bool,
    busy_timeout: Duration,
    pragmas: Vec<(&'static str, Cow<'static, str>)>,
}

impl Options {
    /// The options for a file that exists. A statement waits for `busy_timeout` for a lock.
    pub(in crate::store) fn new(file: impl Into<PathBuf>, busy_timeout: Duration) -> Self {
        Self { file: file.into(), create: false, busy_timeout, pragmas: Vec::new() }
    }

    /// Creates the file if it is not there.
    pub(in crate::store) fn create(mut self) -> Self {
        self.create = true;
        self
    }

    /// Sets this setting after the earlier ones (<https://www.sqlite.org/pragma.html>).
    pub(in crate::store) fn pragma(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.pragmas.push((name, value.into()));
        self
    }

    /// Opens the file. Blocks its thread.
    ///
    /// # Errors
    /// SQLite's.
    pub(in crate::store) fn open(&self) -> Result<Database, StoreError> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, self.create);
        let sqlite = rusqlite::Connection::open_with_flags(&self.file, flags)?;
        sqlite.busy_timeout(self.busy_timeout)?;
        sqlite.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        // A statement is planned once, whatever values it gets. Without this, SQLite plans each statement with a parameter in LIMIT
        // again at each use (https://www.sqlite.org/queryplanner-ng.html#qpstab).
        sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        for (name, value) in &self.pragmas {
            // Some settings answer with a row, and some do not.
            let mut statement = sqlite.prepare(&format!("PRAGMA {name} = {value}"))?;
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
        }
        Ok(Database { sqlite, shapes: HashMap::new() })
    }
}

/// A connection to a file of SQLite.
#[derive(Debug)]
pub(in crate::store) struct Database {
    sqlite: rusqlite::Connection,
    /// The shapes of statements of constant text, by the address and length of the text.
    shapes: HashMap<(usize, usize), Shape>,
}

/// What a prepared statement looks like.
#[derive(Clone, Debug)]
struct Shape {
    columns: Columns,
    /// The number in the name of each parameter: of `$3` it is 3. SQLite numbers parameters in the order in which their names
    /// appear in the text.
    parameters: Arc<[usize]>,
}

impl Shape {
    fn of(statement: &Statement<'_>) -> Result<Self, StoreError> {
        let columns = statement.column_names().into_iter().map(Box::from).collect();
        let parameters = (1..=statement.parameter_count()).map(|place| {
            let name = statement.parameter_name(place).and_then(|name| name.strip_prefix('$'));
            let number = name.and_then(|number| number.parse().ok());
            number.ok_or(StoreError::from(rusqlite::Error::InvalidParameterCount(place, 0)))
        });
        Ok(Self { columns, parameters: parameters.collect::<Result<_, _>>()? })
    }
}

impl Database {
    /// Executes a statement. Blocks its thread.
    ///
    /// # Errors
    /// SQLite's.
    pub(in crate::store) fn execute(&mut self, query: &Query<'_>) -> Result<Done, StoreError> {
        let (mut statement, _) = self.prepare(query)?;
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
        drop(rows);
        drop(statement);
        Ok(Done { rows: self.sqlite.changes() })
    }

    /// The first `max` rows of a statement. Blocks its thread.
    ///
    /// # Errors
    /// SQLite's.
    pub(in crate::store) fn rows(&mut self, query: &Query<'_>, max: usize) -> Result<Vec<Row>, StoreError> {
        let (mut statement, columns) = self.prepare(query)?;
        let (mut rows, mut found) = (statement.raw_query(), Vec::new());
        // What a statement changes is changed before its first row is returned (https://www.sqlite.org/lang_returning.html).
        while found.len() < max
            && let Some(row) = rows.next()?
        {
            found.push(Row::copied(&columns, row)?);
        }
        Ok(found)
    }

    /// Prepares a statement, and binds its parameters.
    fn prepare(&mut self, query: &Query<'_>) -> Result<(CachedStatement<'_>, Columns), StoreError> {
        let sql = query.sql();
        // SQLite would ignore a second one.
        debug_assert!(
            !sql.trim_end().trim_end_matches(';').contains(';') || sql.starts_with("CREATE TRIGGER"),
            "one statement at a time: {sql}"
        );
        let mut statement = self.sqlite.prepare_cached(sql)?;
        let shape = match sql {
            Cow::Borrowed(constant) => {
                let shape = self.shapes.entry((constant.as_ptr().addr(), constant.len()));
                match shape {
                    std::collections::hash_map::Entry::Occupied(known) => known.get().clone(),
                    std::collections::hash_map::Entry::Vacant(unknown) => {
                        unknown.insert(Shape::of(&statement)?).clone()
                    }
                }
            }
            Cow::Owned(_) => Shape::of(&statement)?,
        };
        for (place, number) in shape.parameters.iter().enumerate() {
            statement.raw_bind_parameter(place + 1, query.value(*number).unwrap_or(&Value::Null))?;
        }
        Ok((statement, shape.columns))
    }

    /// Sets how long statements wait for a lock.
    ///
    /// # Errors
    /// SQLite's.
    pub(in crate::store) fn set_busy_timeout(&self, timeout: Duration) -> Result<(), StoreError> {
        Ok(self.sqlite.busy_timeout(timeout)?)
    }

    /// Counts the steps of SQLite's virtual machine, until it is `None`.
    #[cfg(test)]
    pub(in crate::store) fn count_steps(&self, steps: Option<Arc<std::sync::atomic::AtomicU64>>) {
        let handler = steps.map(|steps| {
            move || {
                steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                false
            }
        });
        self.sqlite.progress_handler(1, handler).unwrap();
    }

    /// Runs several statements without parameters.
    #[cfg(test)]
    pub(in crate::store) fn run_script(&self, sql: &str) {
        self.sqlite.execute_batch(sql).unwrap();
    }

    /// Closes the file. Blocks its thread.
    ///
    /// # Errors
    /// SQLite's. Nothing that was committed is lost.
    pub(in crate::store) fn close(self) -> Result<(), StoreError> {
        Ok(self.sqlite.close().map_err(|(_, error)| error)?)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::store::sql;

    const FIND: &str = "SELECT number FROM numbers WHERE half > $1 ORDER BY number LIMIT $2";

    /// Each use of a statement with a parameter in LIMIT planned it again, which was a twentieth of the cost of a DeleteObjects.
    #[test]
    fn a_statement_is_planned_once_whatever_its_values() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new(directory.path().join("db"), std::time::Duration::ZERO).create();
        let mut database = options.open().unwrap();
        database
            .execute(&sql::query("CREATE TABLE numbers (number INTEGER PRIMARY KEY, half INTEGER)"))
            .unwrap();
        database.execute(&sql::query("CREATE INDEX halves ON numbers (half) WHERE half > 0")).unwrap();
        for max in 1..5_i64 {
            database.rows(&sql::query(FIND).bind(max).bind(max), 10).unwrap();
        }
        let statement = database.sqlite.prepare_cached(FIND).unwrap();
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
        assert_eq!(statement.get_status(StatementStatus::Run), 4);
    }
}

//! A row of a result.

use std::sync::Arc;

use super::value::{FromValue, Value};
use crate::store::StoreError;

/// The names of a result's columns.
pub(super) type Columns = Arc<[Box<str>]>;

/// A row of a result.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    columns: Columns,
    values: Vec<Value<'static>>,
}

/// A column: its name, or its place from 0.
pub(crate) trait Column: Copy {
    /// Its place in a result with these columns.
    fn place(self, columns: &[Box<str>]) -> Option<usize>;
    /// Its name, for errors.
    fn name(self) -> String;
}

impl Column for &str {
    fn place(self, columns: &[Box<str>]) -> Option<usize> {
        columns.iter().position(|name| **name == *self)
    }
    fn name(self) -> String {
        self.to_owned()
    }
}

impl Column for usize {
    fn place(self, _columns: &[Box<str>]) -> Option<usize> {
        Some(self)
    }
    fn name(self) -> String {
        self.to_string()
    }
}

impl Row {
    /// Copies the current row of a statement.
    pub(super) fn copied(columns: &Columns, row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let mut values = Vec::with_capacity(columns.len());
        for (place, name) in columns.iter().enumerate() {
            let value = row.get_ref(place)?;
            let copied = Value::copied(value).ok_or_else(|| {
                rusqlite::Error::InvalidColumnType(place, name.to_string(), value.data_type())
            })?;
            values.push(copied);
        }
        Ok(Self { columns: columns.clone(), values })
    }

    /// The value of a column.
    ///
    /// # Errors
    /// If there is no such column, or its value is of another type.
    pub(crate) fn try_get<'r, T: FromValue<'r>, C: Column>(&'r self, column: C) -> Result<T, StoreError> {
        let place = column.place(&self.columns).filter(|place| *place < self.values.len());
        let place = place.ok_or_else(|| rusqlite::Error::InvalidColumnName(column.name()))?;
        let value = &self.values[place];
        let read = T::from_value(value);
        Ok(read.ok_or_else(|| rusqlite::Error::InvalidColumnType(place, column.name(), value.kind()))?)
    }

    /// The bytes of its texts and byte strings together.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = |value: &Value<'_>| match value {
            Value::Null | Value::Integer(_) => 0,
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
        };
        self.values.iter().map(bytes).sum()
    }

    /// The value of a column that is known to be there.
    #[cfg(test)]
    pub(crate) fn get<'r, T: FromValue<'r>, C: Column>(&'r self, column: C) -> T {
        self.try_get(column).unwrap()
    }
}

//! The values of columns and parameters.

use std::borrow::Cow;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Type, ValueRef};

/// A value of a column or of a parameter. There are no floating-point numbers in the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'q> {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// Text in UTF-8.
    Text(Cow<'q, str>),
    /// Bytes.
    Bytes(Cow<'q, [u8]>),
}

impl Value<'static> {
    /// Copies a value of the current row. `None` for a type or an encoding that the schema does not have.
    pub(super) fn copied(value: ValueRef<'_>) -> Option<Self> {
        Some(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(_) => return None,
            ValueRef::Text(text) => Self::Text(std::str::from_utf8(text).ok()?.to_owned().into()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec().into()),
        })
    }
}

impl Value<'_> {
    /// Its type, for errors.
    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Integer(_) => Type::Integer,
            Self::Text(_) => Type::Text,
            Self::Bytes(_) => Type::Blob,
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<'q> From<&'q str> for Value<'q> {
    fn from(text: &'q str) -> Self {
        Self::Text(text.into())
    }
}

impl<'q> From<&'q String> for Value<'q> {
    fn from(text: &'q String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'q> From<&'q [u8]> for Value<'q> {
    fn from(bytes: &'q [u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<'q> From<&'q Vec<u8>> for Value<'q> {
    fn from(bytes: &'q Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<'q, T: Into<Value<'q>>> From<Option<T>> for Value<'q> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'q, T> From<&'q Option<T>> for Value<'q>
where
    &'q T: Into<Value<'q>>,
{
    fn from(value: &'q Option<T>) -> Self {
        value.as_ref().into()
    }
}

/// A type that columns can be read as.
pub(crate) trait FromValue<'r>: Sized {
    /// The value as this type; `None` if it is of another one.
    fn from_value(value: &'r Value<'static>) -> Option<Self>;
}

impl FromValue<'_> for i64 {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(*number),
            Value::Null | Value::Text(_) | Value::Bytes(_) => None,
        }
    }
}

/// The result of a condition.
impl FromValue<'_> for bool {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        i64::from_value(value).map(|number| number != 0)
    }
}

impl<'r> FromValue<'r> for &'r str {
    fn from_value(value: &'r Value<'static>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Bytes(_) => None,
        }
    }
}

impl FromValue<'_> for String {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        <&str>::from_value(value).map(str::to_owned)
    }
}

impl<'r> FromValue<'r> for &'r [u8] {
    fn from_value(value: &'r Value<'static>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Text(text) => Some(text.as_bytes()),
            Value::Null | Value::Integer(_) => None,
        }
    }
}

impl FromValue<'_> for Vec<u8> {
    fn from_value(value: &Value<'static>) -> Option<Self> {
        <&[u8]>::from_value(value).map(<[u8]>::to_vec)
    }
}

impl<'r, T: FromValue<'r>> FromValue<'r> for Option<T> {
    fn from_value(value: &'r Value<'static>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

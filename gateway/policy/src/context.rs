//! The condition keys of a request.

use std::collections::HashMap;

/// The condition keys of a request and their values. Names are compared without regard to case, as IAM does.
#[derive(Clone, Debug, Default)]
pub struct Context(HashMap<String, Vec<String>>);

impl Context {
    /// Adds a value of a key. A key with several values is multivalued, such as `s3:RequestObjectTagKeys`.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(&key.to_ascii_lowercase());
    }

    /// Adds a value of a key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.add(key, value);
        self
    }

    /// The values of a key; `None` if the request does not have it.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        let values = match self.0.get(key) {
            Some(values) => values,
            None => self.0.get(&key.to_ascii_lowercase())?,
        };
        Some(values)
    }

    /// The value of a key that has exactly one.
    pub fn single(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            [value] => Some(value),
            _ => None,
        }
    }
}

//! The versions that a rule is about.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A filter: all that it names must hold. An empty one is about every object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The key begins with it.
    #[serde(default)]
    pub prefix: String,
    /// The object has all these tags, perhaps among others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The object has more bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub larger_than: Option<u64>,
    /// The object has fewer bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smaller_than: Option<u64>,
}

impl Filter {
    /// Whether it is about an object.
    pub fn matches(&self, key: &str, tags: &BTreeMap<String, String>, length: u64) -> bool {
        key.starts_with(&self.prefix)
            && self.tags.iter().all(|(tag, value)| tags.get(tag) == Some(value))
            && self.larger_than.is_none_or(|bytes| length > bytes)
            && self.smaller_than.is_none_or(|bytes| length < bytes)
    }

    /// Whether it is about what has a key alone: uploads and delete markers have neither tags nor a length.
    pub fn matches_key(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && self.tags.is_empty() && !self.names_size()
    }

    /// Whether it asks for a size.
    pub fn names_size(&self) -> bool {
        self.larger_than.is_some() || self.smaller_than.is_some()
    }
}

impl Filter {
    /// Why it is not about an object; `None` if it is.
    pub fn mismatch(&self, key: &str, tags: &BTreeMap<String, String>, length: u64) -> Option<&'static str> {
        let is_tagged = self.tags.iter().all(|(tag, value)| tags.get(tag) == Some(value));
        if !key.starts_with(&self.prefix) {
            Some("the key does not begin with its prefix")
        } else if !is_tagged {
            Some("the object does not have its tags")
        } else if !self.matches(key, tags, length) {
            Some("the object does not have its size")
        } else {
            None
        }
    }

    /// Why it is not about what has a key alone; `None` if it is.
    pub fn mismatch_of_key(&self, key: &str) -> Option<&'static str> {
        if !key.starts_with(&self.prefix) {
            Some("the key does not begin with its prefix")
        } else if !self.matches_key(key) {
            Some("delete markers and uploads have neither tags nor a size")
        } else {
            None
        }
    }
}

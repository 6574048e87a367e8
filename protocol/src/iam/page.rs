//! Pages of listings.

use serde::{Deserialize, Serialize};

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page begins: the `after` of its request. `None` on the last page.
    pub next: Option<String>,
}

/// Requests a page of users, groups or roles.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListEntities {
    /// Account id.
    pub account: String,
    /// Only those whose path begins with this; empty for all.
    #[serde(default)]
    pub path_prefix: String,
    /// The [`next`](Page::next) of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// Upper limit of the entries. A page has at most 1,000.
    pub max: u32,
}

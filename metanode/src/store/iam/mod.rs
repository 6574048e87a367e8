//! The tables of accounts, users, groups, roles, access keys and policies.
//!
//! | module | contents |
//! |---|---|
//! | `accounts` | accounts |
//! | `holders`, `holder_changes` | users, groups and roles: what holds policies |
//! | `members` | which users are in which groups |
//! | `keys` | access keys |
//! | `policies` | managed policies and their versions |
//! | `attachments` | which managed policies apply to which holders |
//! | `inline` | inline policies |
//! | `effective` | the documents that apply to an identity |
//! | `providers` | providers of OpenID Connect |

pub(crate) mod accounts;
pub(crate) mod attachments;
pub(crate) mod effective;
pub(crate) mod holder_changes;
pub(crate) mod holders;
pub(crate) mod inline;
pub(crate) mod keys;
pub(crate) mod members;
pub(crate) mod policies;
pub(crate) mod providers;

use serde::{Deserialize, Serialize};

/// The key of an account in other tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountNumber(pub(super) i64);

/// The key of a user, group or role in other tables. It is never used again after the holder is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct HolderId(pub(super) i64);

/// The key of a managed policy in other tables. Those that are built in have numbers below 0, and no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PolicyId(pub(crate) i64);

/// A name in small letters: names that differ only in case are the same. Their characters are ASCII.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

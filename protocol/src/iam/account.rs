//! Accounts.

use serde::{Deserialize, Serialize};

use super::NewAccessKey;
use crate::env::Timestamp;
use crate::id::MutationId;
use crate::metadata::Account;

/// Creates an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateAccount {
    /// Its name for people: 1 to 50 characters without control characters. Names need not be unique.
    pub name: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// An account that was created, with the key of its root user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccount {
    /// The account.
    pub account: AccountEntry,
    /// The key. Its secret is in no later answer.
    pub key: NewAccessKey,
}

/// An account as listings show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountEntry {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Names an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountRef {
    /// Its 12 digits.
    pub account: String,
}

/// Requests a page of accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListAccounts {
    /// The [`next`](super::Page::next) of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// Upper limit of the entries. A page has at most 1,000.
    pub max: u32,
}

/// Deletes an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteAccount {
    /// Its 12 digits.
    pub account: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

//! Access keys.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::id::MutationId;

/// Whose access keys are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyOwner {
    /// Account id.
    pub account: String,
    /// The user; `None` for the root user of the account.
    #[serde(default)]
    pub user: Option<String>,
}

/// Creates an access key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateAccessKey {
    /// Whose it is to be.
    pub owner: KeyOwner,
    /// Id and secret of a key that another store knows already; `None` makes new ones.
    #[serde(default)]
    pub given: Option<GivenKey>,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Id and secret of a key that another store knows already.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenKey {
    /// Access key id: 3 to 128 letters, digits, `_`, `-` and `.`.
    pub access_key: String,
    /// Secret access key: 8 to 128 printable characters of ASCII.
    pub secret_key: String,
}

impl fmt::Debug for GivenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GivenKey({})", self.access_key)
    }
}

/// An access key that was created. Its secret is in no later answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAccessKey {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// The user; `None` for the root user of the account.
    pub user: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl fmt::Debug for NewAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewAccessKey({})", self.access_key)
    }
}

/// An access key as listings show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyEntry {
    /// Access key id.
    pub access_key: String,
    /// The user; `None` for the root user of the account.
    pub user: Option<String>,
    /// Whether requests may be signed with it.
    pub active: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Activates or deactivates an access key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAccessKeyStatus {
    /// Whose it is.
    pub owner: KeyOwner,
    /// Access key id.
    pub access_key: String,
    /// Whether requests may be signed with it.
    pub active: bool,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Creates an access key in place of another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RotateAccessKey {
    /// Whose they are.
    pub owner: KeyOwner,
    /// The key to deactivate; `None` leaves all as they are.
    #[serde(default)]
    pub deactivate: Option<String>,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Deletes an access key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteAccessKey {
    /// Whose it is.
    pub owner: KeyOwner,
    /// Access key id.
    pub access_key: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

//! Providers of OpenID Connect, whose tokens roles may trust.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;
use crate::id::MutationId;

/// Creates a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateOidcProvider {
    /// Account id.
    pub account: String,
    /// Its URL: `https://…`, without a query, up to 255 characters; on this machine also `http://…`. It must be unique in the
    /// account.
    pub url: String,
    /// The client ids (audiences) that its tokens may be for: up to 100, of 1 to 255 characters.
    pub client_ids: Vec<String>,
    /// SHA-1 of the certificates that it may be signed by: up to 5, of 40 hexadecimal digits.
    #[serde(default)]
    pub thumbprints: Vec<String>,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcProvider {
    /// `arn:aws:iam::<account>:oidc-provider/<URL without https://>`.
    pub arn: String,
    /// Its URL.
    pub url: String,
    /// The client ids that its tokens may be for.
    pub client_ids: Vec<String>,
    /// SHA-1 of the certificates that it may be signed by.
    pub thumbprints: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Names a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OidcProviderRef {
    /// Account id.
    pub account: String,
    /// Its URL, or what its ARN has behind `oidc-provider/`.
    pub url: String,
}

/// Replaces the client ids and the thumbprints of a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateOidcProvider {
    /// Account id.
    pub account: String,
    /// Its URL.
    pub url: String,
    /// The new client ids; `None` leaves them.
    #[serde(default)]
    pub client_ids: Option<Vec<String>>,
    /// The new thumbprints; `None` leaves them.
    #[serde(default)]
    pub thumbprints: Option<Vec<String>>,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

/// Deletes a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteOidcProvider {
    /// Account id.
    pub account: String,
    /// Its URL.
    pub url: String,
    /// Id for repetitions.
    #[serde(default)]
    pub mutation: Option<MutationId>,
}

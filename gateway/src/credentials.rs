//! Whose signatures count.

use std::collections::HashMap;

use cairn_protocol::metadata::RootCredentials;

use crate::auth::SecretKey;

/// Secrets by access key id.
#[derive(Clone, Debug)]
pub struct Credentials {
    secrets: HashMap<String, SecretKey>,
}

impl Credentials {
    /// The root's only.
    pub fn root(credentials: RootCredentials) -> Self {
        let secret = SecretKey::new(credentials.secret_key);
        Self { secrets: HashMap::from([(credentials.access_key, secret)]) }
    }

    /// The secret of an access key id.
    pub fn secret(&self, access_key: &str) -> Option<&SecretKey> {
        self.secrets.get(access_key)
    }
}

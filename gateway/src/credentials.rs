//! Whose signatures count.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_protocol::metadata::RootCredentials;
use tokio::sync::watch;

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

/// The credentials, once the metanode has told them. Clones share them.
#[derive(Clone, Debug)]
pub struct Keyring(watch::Sender<Option<Arc<Credentials>>>);

impl Default for Keyring {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Keyring {
    /// The credentials are these.
    pub fn fill(&self, credentials: Credentials) {
        self.0.send_replace(Some(Arc::new(credentials)));
    }

    /// The credentials; `None` until they are known.
    pub fn get(&self) -> Option<Arc<Credentials>> {
        self.0.borrow().clone()
    }

    /// Waits until they are known: from then on clients are served.
    pub async fn filled(&self) {
        // An error would mean that the sender is gone, which is here.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}

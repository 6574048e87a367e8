//! Sealing and opening secrets: XChaCha20-Poly1305, whose nonces of 24 bytes can be random for any number of secrets.
//!
//! A sealed secret is, in bytes: 1 (the format), the key's id (8), the nonce (24), and the ciphertext with its tag (16). The id
//! of the access key is the associated data, so that a secret cannot be moved to another key's row.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_protocol::env::Env;
use cairn_protocol::metadata::RootCredentials;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};

use super::{MasterKey, MasterKeyError, MasterKeySource};

const FORMAT: u8 = 1;
const NONCE_AT: usize = 9;
const CIPHERTEXT_AT: usize = 33;

/// Seals and opens secrets. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Vault {
    key: Arc<MasterKey>,
    env: Env,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({:?})", self.key)
    }
}

/// The root credentials as the database has them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Sealed(SealedRoot),
    /// As releases before this one wrote them.
    Plain(RootCredentials),
}

#[derive(Serialize, Deserialize)]
struct SealedRoot {
    access_key: String,
    /// In base64.
    sealed: String,
}

impl Vault {
    /// Loads the key, and checks that it is the one with this id. `known` is the id that the database has, if anything was
    /// sealed.
    ///
    /// # Errors
    /// When there is no key, or it is another one.
    pub(crate) fn open(
        source: &MasterKeySource,
        known: Option<&str>,
        env: &Env,
    ) -> Result<Self, MasterKeyError> {
        let key = source.load(known.is_some(), env)?;
        let vault = Self { key: Arc::new(key), env: env.clone() };
        let given = vault.key_id();
        match known {
            Some(wanted) if wanted != given => {
                Err(MasterKeyError::Wrong { given, wanted: wanted.to_owned() })
            }
            _ => Ok(vault),
        }
    }

    /// The id of the key.
    pub(crate) fn key_id(&self) -> String {
        hex::encode(self.key.id())
    }

    /// Seals the secret of an access key; `None` if it is longer than the cipher can encrypt, which are many GiB.
    pub(crate) fn seal(&self, access_key: &str, secret: &str) -> Option<Vec<u8>> {
        let nonce = self.random_nonce();
        let payload = Payload { msg: secret.as_bytes(), aad: access_key.as_bytes() };
        let ciphertext = self.cipher().encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([&[FORMAT][..], &self.key.id(), &nonce, &ciphertext].concat())
    }

    /// Opens the sealed secret of an access key; `None` if it was not sealed with this key for this access key.
    pub(crate) fn unseal(&self, access_key: &str, sealed: &[u8]) -> Option<String> {
        if sealed.first() != Some(&FORMAT) || sealed.get(1..NONCE_AT)? != self.key.id() {
            return None;
        }
        let nonce: [u8; 24] = sealed.get(NONCE_AT..CIPHERTEXT_AT)?.try_into().ok()?;
        let payload = Payload { msg: sealed.get(CIPHERTEXT_AT..)?, aad: access_key.as_bytes() };
        let secret = self.cipher().decrypt(&XNonce::from(nonce), payload).ok()?;
        String::from_utf8(secret).ok()
    }

    /// The root credentials as the database has them, sealed.
    pub(crate) fn seal_root(&self, root: &RootCredentials) -> Option<String> {
        let sealed = STANDARD.encode(self.seal(&root.access_key, &root.secret_key)?);
        serde_json::to_string(&SealedRoot { access_key: root.access_key.clone(), sealed }).ok()
    }

    /// The root credentials that the database has, and whether they are sealed; `None` if they cannot be opened.
    pub(crate) fn unseal_root(&self, stored: &str) -> Option<(RootCredentials, bool)> {
        match serde_json::from_str(stored).ok()? {
            Stored::Plain(root) => Some((root, false)),
            Stored::Sealed(SealedRoot { access_key, sealed }) => {
                let secret_key = self.unseal(&access_key, &STANDARD.decode(sealed).ok()?)?;
                Some((RootCredentials { access_key, secret_key }, true))
            }
        }
    }

    /// The master key.
    pub(super) fn master_key(&self) -> &MasterKey {
        &self.key
    }

    /// A nonce, at random.
    pub(super) fn random_nonce(&self) -> [u8; 24] {
        self.env.random_bytes()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(digit: &str) -> Vault {
        let key = MasterKey::parse(&digit.repeat(64)).unwrap();
        Vault::open(&MasterKeySource::Given(key), None, &Env::system()).unwrap()
    }

    #[test]
    fn a_secret_opens_with_its_key_for_its_access_key_only() {
        let vault = vault("1");
        let sealed = vault.seal("AKIA1", "the secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(vault.unseal("AKIA1", &sealed).as_deref(), Some("the secret"));
        assert_eq!(vault.unseal("AKIA2", &sealed), None);
        assert_eq!(self::vault("2").unseal("AKIA1", &sealed), None);
        assert_ne!(vault.seal("AKIA1", "the secret").unwrap(), sealed);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(vault.unseal("AKIA1", &damaged), None, "{at}");
            assert_eq!(vault.unseal("AKIA1", &sealed[..at]), None, "{at}");
        }
    }

    #[test]
    fn another_key_is_refused_in_words() {
        let (right, wrong) = (vault("1"), MasterKey::parse(&"2".repeat(64)).unwrap());
        let source = MasterKeySource::Given(wrong);
        let refused = Vault::open(&source, Some(&right.key_id()), &Env::system()).unwrap_err().to_string();
        assert!(refused.starts_with("the master key is not the one that sealed the secrets of this cluster"));
        assert!(refused.contains(&right.key_id()), "{refused}");
    }
}

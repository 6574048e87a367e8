//! Sealing and opening session tokens: XChaCha20-Poly1305 with a key of their own, which HKDF (RFC 5869) derives from the master
//! key. So no session token can pass for a sealed secret, nor a sealed secret for a session token.
//!
//! A token is base64 without padding, in the alphabet for URLs, of: 1 (the format), the master key's id (8 bytes), the nonce (24),
//! and the ciphertext with its tag (16). The access key id is the associated data, so that a token belongs to one access key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Vault;

const FORMAT: u8 = 1;
const NONCE_AT: usize = 9;
const CIPHERTEXT_AT: usize = 33;

/// What the derived key is for.
const LABEL: &[u8] = b"cairn session token 1";

/// Upper limit of a token, in bytes. The longest that is made has some 4,000: session policies are 2,048 characters.
const TOKEN_MAX: usize = 16 << 10;

impl Vault {
    /// Seals the contents of the token of an access key; `None` if they are longer than the cipher can encrypt.
    pub(crate) fn seal_token(&self, access_key: &str, contents: &[u8]) -> Option<String> {
        let nonce = self.random_nonce();
        let payload = Payload { msg: contents, aad: access_key.as_bytes() };
        let ciphertext = self.token_cipher()?.encrypt(&XNonce::from(nonce), payload).ok()?;
        let sealed = [&[FORMAT][..], &self.master_key().id(), &nonce, &ciphertext].concat();
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens the token of an access key; `None` if it was not sealed with this master key for this access key.
    pub(crate) fn open_token(&self, access_key: &str, token: &str) -> Option<Vec<u8>> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        if sealed.first() != Some(&FORMAT) || sealed.get(1..NONCE_AT)? != self.master_key().id() {
            return None;
        }
        let nonce: [u8; 24] = sealed.get(NONCE_AT..CIPHERTEXT_AT)?.try_into().ok()?;
        let payload = Payload { msg: sealed.get(CIPHERTEXT_AT..)?, aad: access_key.as_bytes() };
        self.token_cipher()?.decrypt(&XNonce::from(nonce), payload).ok()
    }

    fn token_cipher(&self) -> Option<XChaCha20Poly1305> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.master_key().bytes()).expand(LABEL, key.as_mut_slice()).ok()?;
        Some(XChaCha20Poly1305::new((&*key).into()))
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::env::Env;
    use proptest::prelude::*;

    use super::*;
    use crate::vault::{MasterKey, MasterKeySource};

    fn vault(digit: &str) -> Vault {
        let key = MasterKey::parse(&digit.repeat(64)).unwrap();
        Vault::open(&MasterKeySource::Given(key), None, &Env::system()).unwrap()
    }

    #[test]
    fn a_token_opens_with_its_master_key_for_its_access_key_only() {
        let vault = vault("1");
        let token = vault.seal_token("ASIA1", b"contents").unwrap();
        assert_eq!(vault.open_token("ASIA1", &token).as_deref(), Some(&b"contents"[..]));
        assert_eq!(vault.open_token("ASIA2", &token), None);
        assert_eq!(self::vault("2").open_token("ASIA1", &token), None);
        assert_ne!(vault.seal_token("ASIA1", b"contents").unwrap(), token, "nonces are random");
        assert_eq!(vault.open_token("ASIA1", ""), None);
        assert_eq!(vault.open_token("ASIA1", &"A".repeat(TOKEN_MAX + 1)), None);
    }

    #[test]
    fn sealed_secrets_and_tokens_do_not_pass_for_each_other() {
        let vault = vault("1");
        let secret = vault.seal("AKIA1", "the secret").unwrap();
        assert_eq!(vault.open_token("AKIA1", &URL_SAFE_NO_PAD.encode(secret)), None);
        let token = URL_SAFE_NO_PAD.decode(vault.seal_token("AKIA1", b"contents").unwrap()).unwrap();
        assert_eq!(vault.unseal("AKIA1", &token), None);
    }

    proptest! {
        #[test]
        fn a_token_with_any_bit_flipped_or_any_end_cut_is_refused(
            contents in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0..8_u32,
        ) {
            let vault = vault("1");
            let token = vault.seal_token("ASIA1", &contents).unwrap();
            let sealed = URL_SAFE_NO_PAD.decode(&token).unwrap();
            let mut flipped = sealed.clone();
            flipped[at.index(sealed.len())] ^= 1_u8 << bit;
            prop_assert_eq!(vault.open_token("ASIA1", &URL_SAFE_NO_PAD.encode(flipped)), None);
            let cut = &sealed[..at.index(sealed.len())];
            prop_assert_eq!(vault.open_token("ASIA1", &URL_SAFE_NO_PAD.encode(cut)), None);
            // Flips in the text itself, whose last character has bits that no byte has.
            let mut text = token.clone().into_bytes();
            text[at.index(token.len())] ^= 1_u8 << bit;
            let text = String::from_utf8_lossy(&text).into_owned();
            prop_assert_eq!(vault.open_token("ASIA1", &text), None);
        }
    }
}

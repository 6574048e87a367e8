//! Secrets, the keys derived from them, and signatures.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::scope::Scope;

/// A secret access key. Never printed.
#[derive(Clone)]
pub struct SecretKey(String);

impl SecretKey {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Compares two secrets in constant time.
    pub fn is(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The signing key of this scope: `HMAC(HMAC(HMAC(HMAC("AWS4"+secret, day), region), service), "aws4_request")`.
    pub fn signing_key(&self, scope: &Scope) -> SigningKey {
        let day = hmac(format!("AWS4{}", self.0).as_bytes(), scope.day.as_bytes());
        let region = hmac(&day, scope.region.as_bytes());
        let service = hmac(&region, scope.service.as_bytes());
        SigningKey(hmac(&service, b"aws4_request"))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A signing key for one day, region and service. Never printed.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// Signs a string to sign.
    pub fn sign(&self, string_to_sign: &str) -> Signature {
        Signature(hex::encode(hmac(&self.0, string_to_sign.as_bytes())))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// A computed signature: 64 lower-case hex digits.
#[derive(Clone, Debug)]
pub struct Signature(String);

impl Signature {
    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares this signature with the claimed one in constant time.
    pub fn matches(&self, claimed: &str) -> bool {
        self.0.as_bytes().ct_eq(claimed.as_bytes()).into()
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(message);
            mac.finalize().into_bytes().into()
        }
        // HMAC takes keys of any length (RFC 2104), so the error cannot occur.
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS General Reference, "Examples of how to derive a signing key for Signature Version 4".
    #[test]
    fn the_signing_key_is_that_of_the_documentation() {
        let scope = Scope { day: "20150830".into(), region: "us-east-1".into(), service: "iam".into() };
        let key = SecretKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").signing_key(&scope);
        assert_eq!(hex::encode(key.0), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }

    #[test]
    fn a_signature_matches_itself_only() {
        let scope = Scope { day: "20150830".into(), region: "r".into(), service: "s3".into() };
        let signature = SecretKey::new("x").signing_key(&scope).sign("text");
        assert!(signature.matches(signature.as_str()));
        assert!(!signature.matches(""));
        assert!(!signature.matches(&signature.as_str()[1..]));
        assert!(!signature.matches(&signature.as_str().to_uppercase()));
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", SecretKey::new("hunter2")), "SecretKey(..)");
    }
}

//! The cluster's secret. It signs calls between parts (see [`signature`](crate::signature)), grants, and block tokens. The
//! certificates of the parts come from it too: see [`tls`](crate::tls).
//!
//! Signatures are HMAC-SHA256 (RFC 2104) over a purpose and a message, so that a signature for
//! one purpose is not valid for another. They are compared in constant time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::env::{Env, Timestamp};
use crate::id::{BlockId, NodeId};

/// How far the clocks of two parts may differ before their requests are refused: enough for a machine whose clock is not
/// synchronised, and so little that a recorded request soon expires.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);

/// Why a signature was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SecretError {
    /// The secret is too short.
    #[error("a cluster secret has at least {SECRET_LENGTH_MIN} characters, not {0}")]
    TooShort(usize),
    /// There was no token, or one of another format.
    #[error("the token is missing or malformed")]
    Malformed,
    /// It was signed by an earlier version, whose signature did not cover the body.
    #[error("the call is signed as older versions of Cairn did; run the same version everywhere")]
    OldVersion,
    /// It was signed with another secret. The error does not contain this receiver's key id, because the caller is not
    /// authenticated.
    #[error("the token was signed with another cluster secret than ours (its key id is {theirs})")]
    OtherKey {
        /// The key id in the token.
        theirs: String,
    },
    /// The signature is wrong.
    #[error("the signature does not match")]
    Mismatch,
    /// It is for another operation, block or node.
    #[error("the token is for something else")]
    OtherSubject,
    /// The body differs from the signed one in length or bytes.
    #[error("the body is not the one that was signed")]
    OtherBody,
    /// It was signed for an earlier start of this receiver, or for another receiver.
    #[error("the call was signed for another start of this part; sign it anew")]
    OtherEpoch,
    /// It was served before, or so many later calls have arrived that this is unknown.
    #[error("the call was seen before")]
    Replayed,
    /// It has expired, or the clocks of the two machines differ too much.
    #[error("the token has expired, or the clocks of the two machines disagree")]
    Expired,
}

/// The minimum length of a secret in characters: 128 bits in hexadecimal.
pub const SECRET_LENGTH_MIN: usize = 32;

/// The secret that all parts of a cluster share.
#[derive(Clone)]
pub struct ClusterSecret {
    /// The key, padded with zeros to SHA-256's block, as HMAC pads shorter keys (RFC 2104, section 2).
    key: [u8; 64],
    key_id: String,
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterSecret(key id {})", self.key_id)
    }
}

impl ClusterSecret {
    /// The secret of this text, without white space around it.
    ///
    /// # Errors
    /// [`SecretError::TooShort`] below [`SECRET_LENGTH_MIN`] characters.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.len() < SECRET_LENGTH_MIN {
            return Err(SecretError::TooShort(text.len()));
        }
        let mut key = [0; 64];
        key[..32].copy_from_slice(&Sha256::digest(text.as_bytes()));
        let key_id = hex::encode(&Sha256::digest(key)[..4]);
        Ok(Self { key, key_id })
    }

    /// A fresh secret, as text.
    pub fn generate(env: &Env) -> String {
        hex::encode(env.random_bytes::<32>())
    }

    /// An id of the secret from which the secret cannot be computed.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    fn mac(&self, purpose: &str, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(message);
        mac
    }

    /// The signature of `message` for `purpose`, in hexadecimal.
    pub fn sign(&self, purpose: &str, message: &[u8]) -> String {
        hex::encode(self.mac(purpose, message).finalize().into_bytes())
    }

    /// Checks a signature made by [`sign`](Self::sign), in constant time.
    ///
    /// # Errors
    /// [`SecretError::Malformed`] or [`SecretError::Mismatch`].
    pub fn verify(&self, purpose: &str, message: &[u8], signature: &str) -> Result<(), SecretError> {
        let signature = hex::decode(signature).map_err(|_| SecretError::Malformed)?;
        self.mac(purpose, message).verify_slice(&signature).map_err(|_| SecretError::Mismatch)
    }

    /// A key of 32 bytes for another purpose than signing (HKDF with SHA-256, RFC 5869).
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut key = [0; 32];
        // 32 bytes are one round of HKDF, so the length is valid.
        let expanded = Hkdf::<Sha256>::new(None, &self.key[..32]).expand(purpose.as_bytes(), &mut key);
        debug_assert!(expanded.is_ok());
        key
    }

    /// Whether a token names this secret's key id.
    ///
    /// # Errors
    /// [`SecretError::OtherKey`].
    pub(crate) fn check_key_id(&self, theirs: &str) -> Result<(), SecretError> {
        if theirs == self.key_id {
            return Ok(());
        }
        Err(SecretError::OtherKey { theirs: shortened(theirs) })
    }

    /// A token for one operation on one block at one node.
    pub fn block_token(
        &self,
        operation: BlockOperation,
        block: BlockId,
        node: NodeId,
        expires_at: Timestamp,
    ) -> String {
        let message = token_message(operation, block, node, expires_at);
        format!("{}.{}.{}", self.key_id, expires_at.0, self.sign("block", message.as_bytes()))
    }

    /// Checks a token made by [`block_token`](Self::block_token).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_block_token(
        &self,
        token: &str,
        operation: BlockOperation,
        block: BlockId,
        node: NodeId,
        now: Timestamp,
    ) -> Result<(), SecretError> {
        let mut fields = token.splitn(3, '.');
        let (Some(key_id), Some(expires_at), Some(signature)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(SecretError::Malformed);
        };
        self.check_key_id(key_id)?;
        let expires_at = Timestamp(expires_at.parse().map_err(|_| SecretError::Malformed)?);
        self.verify("block", token_message(operation, block, node, expires_at).as_bytes(), signature)?;
        if now > expires_at {
            return Err(SecretError::Expired);
        }
        Ok(())
    }
}

/// The beginning of a text from an unauthenticated caller, as long as a key id.
fn shortened(theirs: &str) -> String {
    theirs.chars().filter(char::is_ascii_hexdigit).take(8).collect()
}

/// Whether a call that was signed at `at` may be served at `now`.
pub(crate) fn in_time(at: Timestamp, now: Timestamp) -> Result<(), SecretError> {
    if now.since(at).max(at.since(now)) > CLOCK_SKEW_MAX { Err(SecretError::Expired) } else { Ok(()) }
}

fn token_message(operation: BlockOperation, block: BlockId, node: NodeId, expires_at: Timestamp) -> String {
    format!("{operation}\n{block}\n{node}\n{}", expires_at.0)
}

/// What a block token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockOperation {
    /// Store the block.
    Put,
    /// Read it, or request its properties.
    Get,
    /// Delete it.
    Delete,
}

impl fmt::Display for BlockOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Delete => "delete",
        })
    }
}

impl FromStr for ClusterSecret {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> ClusterSecret {
        ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap()
    }

    fn ids() -> (BlockId, NodeId) {
        let (env, _) = Env::manual(1, Timestamp(0));
        (BlockId(env.uuid_v7()), NodeId(env.uuid_v4()))
    }

    #[test]
    fn a_token_opens_its_block_on_its_node_for_its_operation_until_it_expires_and_nothing_else() {
        let (block, node) = ids();
        let token = secret().block_token(BlockOperation::Get, block, node, Timestamp(100));
        let check = |operation, block, node, now| {
            secret().check_block_token(&token, operation, block, node, Timestamp(now))
        };
        assert_eq!(check(BlockOperation::Get, block, node, 100), Ok(()));
        assert_eq!(check(BlockOperation::Get, block, node, 101), Err(SecretError::Expired));
        assert_eq!(check(BlockOperation::Put, block, node, 100), Err(SecretError::Mismatch));
        assert_eq!(check(BlockOperation::Get, BlockId(node.0), node, 100), Err(SecretError::Mismatch));
        assert_eq!(check(BlockOperation::Get, block, NodeId(block.0), 100), Err(SecretError::Mismatch));
    }

    #[test]
    fn a_token_of_another_cluster_is_refused_by_name() {
        let (block, node) = ids();
        let other = ClusterSecret::new("another secret that is long enough").unwrap();
        let token = other.block_token(BlockOperation::Get, block, node, Timestamp(100));
        let refused = secret().check_block_token(&token, BlockOperation::Get, block, node, Timestamp(1));
        let Err(error @ SecretError::OtherKey { .. }) = refused else { panic!("{refused:?}") };
        // A caller with another secret must not get the right key id.
        assert!(!error.to_string().contains(secret().key_id()), "{error}");
        assert!(error.to_string().contains(other.key_id()), "{error}");
    }
}

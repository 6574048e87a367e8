//! The `Authorization` header of a call: its fields, their format and their parser.

use sha2::{Digest, Sha256};

use crate::env::Timestamp;
use crate::secret::SecretError;

/// The scheme of the `Authorization` header.
const SCHEME: &str = "Cairn ";

/// Number of fields of the token, with its signature.
const FIELDS: usize = 8;

/// The fields of a call's `Authorization`, without its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The receiver's epoch; 0 for a caller that does not know it yet.
    pub(super) epoch: u128,
    /// The caller's id, drawn at random when it started.
    pub(super) caller: u128,
    /// The call's number; each caller counts its own.
    pub(super) number: u64,
    /// When it was signed.
    pub(super) at: Timestamp,
    /// Length of the body in bytes.
    pub(super) length: u64,
    /// SHA-256 of the body.
    pub(super) digest: [u8; 32],
}

impl Head {
    /// The bytes that are signed.
    pub(super) fn message(&self, method: &str, path: &str) -> Vec<u8> {
        format!("{method}\n{path}\n{}", self.fields()).into_bytes()
    }

    /// The `Authorization` value.
    pub(super) fn authorization(&self, key_id: &str, signature: &str) -> String {
        format!("{SCHEME}{key_id}.{}.{signature}", self.fields())
    }

    fn fields(&self) -> String {
        let Self { epoch, caller, number, at, length, digest } = self;
        format!("{epoch:032x}.{caller:032x}.{number}.{}.{length}.{}", at.0, hex::encode(digest))
    }

    /// Key id, head and signature of an `Authorization` value.
    pub(super) fn parse(authorization: Option<&str>) -> Result<(&str, Self, &str), SecretError> {
        let token =
            authorization.and_then(|value| value.strip_prefix(SCHEME)).ok_or(SecretError::Malformed)?;
        // One field more than allowed, so that a longer token is refused.
        let fields: Vec<&str> = token.splitn(FIELDS + 1, '.').collect();
        match fields[..] {
            [key_id, epoch, caller, number, at, length, digest, signature] => {
                let head = Self {
                    epoch: id(epoch)?,
                    caller: id(caller)?,
                    number: decimal(number)?,
                    at: Timestamp(decimal(at)?),
                    length: decimal(length)?,
                    digest: digest_of(digest)?,
                };
                Ok((key_id, head, signature))
            }
            [_, _, _] => Err(SecretError::OldVersion),
            _ => Err(SecretError::Malformed),
        }
    }
}

/// SHA-256 of a body.
pub(super) fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// Parses an id of exactly 32 hexadecimal digits.
fn id(text: &str) -> Result<u128, SecretError> {
    if text.len() != 32 || text.starts_with('+') {
        return Err(SecretError::Malformed);
    }
    u128::from_str_radix(text, 16).map_err(|_| SecretError::Malformed)
}

fn decimal(text: &str) -> Result<u64, SecretError> {
    text.parse().map_err(|_| SecretError::Malformed)
}

fn digest_of(text: &str) -> Result<[u8; 32], SecretError> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|_| SecretError::Malformed)?;
    Ok(digest)
}

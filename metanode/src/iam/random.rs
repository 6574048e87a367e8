//! Ids and secrets that are made at random.

use cairn_protocol::env::Env;
use rand::RngExt;

/// The alphabet of base32 (RFC 4648), which AWS's ids have.
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Base64's alphabet without `+` and `/`, which shells and URLs mangle.
const ALPHANUMERICS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const DIGITS: &[u8] = b"0123456789";

fn pick(env: &Env, alphabet: &[u8], count: usize) -> String {
    env.with_rng(|rng| {
        (0..count).map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())])).collect()
    })
}

/// A unique id: this prefix of four letters, and 17 of base32.
pub(super) fn unique_id(env: &Env, prefix: &str) -> String {
    format!("{prefix}{}", pick(env, BASE32, 17))
}

/// An access key id in the form of AWS's: `AKIA` and 16 of base32.
pub(super) fn access_key(env: &Env) -> String {
    format!("AKIA{}", pick(env, BASE32, 16))
}

/// The access key id of a session, in the form of AWS's: `ASIA` and 16 of base32.
pub(super) fn session_key(env: &Env) -> String {
    format!("ASIA{}", pick(env, BASE32, 16))
}

/// The access key id of the cluster's root credentials, as long as AWS's: `CAIRN` and 15 capitals and digits.
pub(super) fn root_access_key(env: &Env) -> String {
    format!("CAIRN{}", pick(env, CAPITALS, 15))
}

/// A secret access key, as long as AWS's (<https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html>):
/// log2(62^40) is 238 bits.
pub(super) fn secret_key(env: &Env) -> String {
    pick(env, ALPHANUMERICS, 40)
}

/// An account id: 12 digits, of which the first is not 0, as that of the first account is.
pub(super) fn account_id(env: &Env) -> String {
    format!("{}{}", pick(env, &DIGITS[1..], 1), pick(env, DIGITS, 11))
}

/// A canonical user id: 64 hexadecimal digits.
pub(super) fn canonical_id(env: &Env) -> String {
    hex::encode(env.random_bytes::<32>())
}

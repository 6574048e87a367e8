//! Signatures of the chunks of an aws-chunked body: each covers its chunk and the signature before it.
//!
//! Source: Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring
//! Payload in Multiple Chunks", without and with trailing headers.

use super::date::AmzDate;
use super::key::{Signature, SigningKey, sha256_hex};
use super::scope::Scope;

/// Computes the chain of signatures that begins with the request's own signature.
#[derive(Clone, Debug)]
pub struct ChunkSigner {
    key: SigningKey,
    date: AmzDate,
    scope: Scope,
    previous: Signature,
}

impl ChunkSigner {
    /// Starts the chain with the request's signature.
    pub fn new(key: SigningKey, date: AmzDate, scope: Scope, seed: Signature) -> Self {
        Self { key, date, scope, previous: seed }
    }

    /// The signature of the next chunk, whose bytes have this SHA-256 (in hex).
    pub fn next_chunk(&mut self, sha256: &str) -> &Signature {
        let empty = sha256_hex(b"");
        self.sign(&format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{empty}\n{sha256}",
            self.date.as_str(),
            self.scope,
            self.previous.as_str()
        ))
    }

    /// The signature of the trailers, in canonical form: `name:value\n` each.
    pub fn trailer(&mut self, canonical: &str) -> &Signature {
        let sha256 = sha256_hex(canonical.as_bytes());
        self.sign(&format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{sha256}",
            self.date.as_str(),
            self.scope,
            self.previous.as_str()
        ))
    }

    fn sign(&mut self, string_to_sign: &str) -> &Signature {
        self.previous = self.key.sign(string_to_sign);
        &self.previous
    }
}

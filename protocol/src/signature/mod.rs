//! Signed calls between the parts: a signature proves that a part of the cluster sent the call and that it was not changed,
//! and each call is served once.
//!
//! | module | what is there |
//! |---|---|
//! | `head` | the fields of a call's `Authorization`, and what its signature covers |
//! | `signer` | the side that calls: numbers its calls, signs them, checks the answers |
//! | `admission` | the side that answers: checks a head before it reads a body, and signs the answer |
//! | `window` | the numbers of one caller's calls that were served |
//!
//! A call is `Authorization: Cairn <key id>.<epoch>.<caller>.<number>.<time>.<length>.<SHA-256>.<signature>`. The
//! signature is an HMAC with the cluster's secret over method, path with query, and all of these fields. So the head
//! alone proves that the caller knows the secret, and gives the length and the hash of the body before a byte of it is read.
//!
//! **Each call is served once.** A receiver draws a random *epoch* when it starts, and a new one every ten minutes; a
//! caller draws a random id when it starts, and numbers its calls. The receiver keeps the numbers of each caller that it has seen in
//! the current epoch and in the one before, and refuses all other epochs. A caller without an epoch, or with an old one, gets
//! the current one in a signed answer, and signs its call again. Each answer has the epoch, so this costs one round trip per
//! caller and restart. HTTP's digest authentication does the same with `nonce` and `nc` (RFC
//! 7616, section 3.4).
//!
//! The alternative is to keep a nonce of each call for as long as its time stamp is accepted. Epochs are better. They take
//! memory per caller and not per call. No call can be replayed after a restart, because its epoch is refused. A recorded call
//! to one part is not valid at another. And epochs need no clock.
//!
//! **Answers are signed too**, with the signature of the call that they answer, so that only a holder of the secret
//! can answer, and an answer is valid for one call only.

mod admission;
mod head;
mod signer;
mod window;

pub use admission::{Admission, Admitted, BodyError, Refusal};
pub use signer::{SignedCall, Signer};

/// Name of the header of an answer with the receiver's current epoch.
pub const EPOCH_HEADER: &str = "x-cairn-epoch";

/// Name of the header of an answer with its signature.
pub const SIGNATURE_HEADER: &str = "x-cairn-signature";

/// The bytes that the signature of an answer covers: the call's signature, and the whole answer.
fn answer_message(call_signature: &str, status: u16, epoch: &str, body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{call_signature}\n{status}\n{epoch}\n{}", hex::encode(Sha256::digest(body)))
}

#[cfg(test)]
mod tests;

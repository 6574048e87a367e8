//! Signed calls between the parts: who sent them, that nobody changed them, and that each is served once.
//!
//! | module | what is there |
//! |---|---|
//! | `head` | what a call's `Authorization` says, and what its signature covers |
//! | `signer` | the side that calls: numbers its calls, signs them, checks the answers |
//! | `admission` | the side that answers: checks a head before it reads a body, and signs the answer |
//! | `window` | which of one caller's numbers were seen |
//!
//! A call is `Authorization: Cairn <key id>.<epoch>.<caller>.<number>.<time>.<length>.<SHA-256>.<signature>`. The
//! signature is an HMAC with the cluster's secret over method, path with query, and all of these fields. So the receiver
//! knows from the head alone that the caller knows the secret, and how long the body is and what it hashes to, before it
//! reads a byte of it.
//!
//! **Each call is served once.** A receiver draws a random *epoch* when it starts, and a new one every ten minutes; a
//! caller draws a random id when it starts, and numbers its calls. The receiver remembers which numbers of each caller it
//! has seen in the present epoch and in the one before, and refuses all other epochs. A caller that names no epoch, or an
//! old one, is told the present one in a signed answer, and signs its call anew; each answer names it too, so that this
//! costs a round trip per caller and restart only. HTTP's digest authentication does the same with `nonce` and `nc` (RFC
//! 7616, section 3.4).
//!
//! What that has before nonces that are remembered for as long as their time stamp is accepted: it takes memory per
//! caller and not per call, a restart forgets nothing that could be replayed (the epochs from before it are refused), a
//! call captured on its way to one part is worth nothing at another one, and no clock is part of it.
//!
//! **Answers are signed too**, with the signature of the call that they answer, so that nobody but a holder of the secret
//! can answer, and no answer can be given to another call.

mod admission;
mod head;
mod signer;
mod window;

pub use admission::{Admission, Admitted, BodyError, Refusal};
pub use signer::{SignedCall, Signer};

/// Name of the header of an answer that tells the receiver's present epoch.
pub const EPOCH_HEADER: &str = "x-cairn-epoch";

/// Name of the header of an answer with its signature.
pub const SIGNATURE_HEADER: &str = "x-cairn-signature";

/// What the signature of an answer covers: which call it answers, and all that it says.
fn answer_message(call_signature: &str, status: u16, epoch: &str, body: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{call_signature}\n{status}\n{epoch}\n{}", hex::encode(Sha256::digest(body)))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

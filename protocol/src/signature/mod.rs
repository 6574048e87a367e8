//! Signed calls between the parts: they prove who sent them and that they were not changed, and each is served once.
//!
//! | module | what is there |
//! |---|---|
//! | `head` | the fields of a call's `Authorization`, and what its signature covers |
//! | `signer` | the side that calls: numbers its calls, signs them, checks the answers |
//! | `admission` | the side that answers: checks a head before it reads a body, and signs the answer |
//! | `window` | the numbers of one caller's calls that were served |
//!
//! A call is `Authorization: Cairn <key id>.<epoch>.<caller>.<number>.<time>.<length>.<SHA-256>.<signature>`. The
//! signature is an HMAC with the cluster's secret over method, path with query, and all of these fields. So the receiver
//! knows from the head alone that the caller knows the secret, and how long the body is and what it hashes to, before it
//! reads a byte of it.
//!
//! **Each call is served once.** A receiver draws a random *epoch* when it starts, and a new one every ten minutes; a
//! caller draws a random id when it starts, and numbers its calls. The receiver remembers which numbers of each caller it
//! has seen in the current epoch and in the one before, and refuses all other epochs. A caller that names no epoch, or an
//! old one, learns the current one from a signed answer, and signs its call anew. Each answer names the epoch, so that this
//! costs only one round trip per caller and restart. HTTP's digest authentication does the same with `nonce` and `nc` (RFC
//! 7616, section 3.4).
//!
//! The alternative is to remember a nonce of each call for as long as its time stamp is accepted. Epochs are better: they
//! take memory per caller and not per call; after a restart no call from before can be replayed, because its epoch is
//! refused; a call captured on its way to one part is not valid at another; and no clock is involved.
//!
//! **Answers are signed too**, with the signature of the call that they answer, so that only a holder of the secret
//! can answer, and no answer can be given to another call.

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

//! The caller's side: it numbers and signs calls, and checks the signatures of answers.

use std::sync::{Mutex, PoisonError};

use std::sync::atomic::{AtomicU64, Ordering};

use super::answer_message;
use super::head::{Head, digest};
use crate::env::Env;
use crate::secret::ClusterSecret;

/// Signs the calls to one receiver, and checks its answers.
#[derive(Debug)]
pub struct Signer {
    secret: ClusterSecret,
    env: Env,
    caller: u128,
    next: AtomicU64,
    /// The receiver's epoch; 0 until its first answer.
    epoch: Mutex<u128>,
}

/// The signature of a call, kept to check its answer.
#[derive(Clone, Debug)]
pub struct SignedCall {
    /// The value of its `Authorization` header.
    pub authorization: String,
    signature: String,
    epoch: u128,
}

impl Signer {
    /// A signer that does not know the receiver's epoch yet.
    pub fn new(secret: ClusterSecret, env: Env) -> Self {
        let caller = u128::from_le_bytes(env.random_bytes());
        Self { secret, env, caller, next: AtomicU64::new(0), epoch: Mutex::new(0) }
    }

    /// Signs a call. A repeated call has to be signed again.
    pub fn sign(&self, method: &str, path: &str, body: &[u8]) -> SignedCall {
        let epoch = *self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        let head = Head {
            epoch,
            caller: self.caller,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            at: self.env.now(),
            length: body.len() as u64,
            digest: digest(body),
        };
        let signature = self.secret.sign("call", &head.message(method, path));
        let authorization = head.authorization(self.secret.key_id(), &signature);
        SignedCall { authorization, signature, epoch }
    }

    /// Whether an answer was signed by the receiver, for this call. `epoch` and `signature` are its headers.
    pub fn is_authentic(
        &self,
        call: &SignedCall,
        status: u16,
        epoch: &str,
        signature: &str,
        body: &[u8],
    ) -> bool {
        let message = answer_message(&call.signature, status, epoch, body);
        self.secret.verify("answer", message.as_bytes(), signature).is_ok()
    }

    /// Keeps the epoch of an authentic answer to `call`. Returns whether the call was signed for another one. If so, a refused
    /// call should be signed and sent again.
    pub fn learn(&self, call: &SignedCall, epoch: &str) -> bool {
        let Ok(epoch) = u128::from_str_radix(epoch, 16) else { return false };
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
        epoch != call.epoch
    }
}

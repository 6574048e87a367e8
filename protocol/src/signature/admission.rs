//! The receiver's side: it admits each authentic call once, and reads no body before that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer_message;
use super::head::Head;
use super::window::Window;
use crate::env::Env;
use crate::secret::{ClusterSecret, SecretError, in_time};

/// How long an epoch is the current one. It is then accepted for the same time again. This is twice the allowed difference
/// between a call's time stamp and the receiver's clock, so that no call with a valid time stamp is refused for its epoch.
const EPOCH_TIME: Duration = Duration::from_secs(600);

/// Upper limit of callers in one epoch. With more callers, the next epoch begins early, which costs each caller a round trip.
/// An epoch then needs less than 64 MiB of memory, even if all callers skip numbers.
const CALLERS_MAX: usize = 32_768;

/// Upper limit for the bytes of all bodies that are being read. Further calls wait. Only calls of authenticated callers are
/// read.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bodies up to this length, in bytes, are read without waiting, so that heartbeats do not wait for block reports.
const SMALL_BODY: u64 = 16 * 1024;

/// Checks signed calls, for all services of one port. Clones share the record of calls that were served.
#[derive(Clone)]
pub struct Admission {
    inner: Arc<Inner>,
}

struct Inner {
    secret: ClusterSecret,
    env: Env,
    epochs: Mutex<Epochs>,
    bodies: Semaphore,
}

struct Epochs {
    present: Epoch,
    before: Option<Epoch>,
}

struct Epoch {
    id: u128,
    began: Duration,
    callers: HashMap<u128, Window>,
}

impl Epoch {
    fn begin(env: &Env) -> Self {
        // The id is never 0, because callers that do not know the epoch yet send 0.
        let id = u128::from_le_bytes(env.random_bytes()).max(1);
        Self { id, began: env.monotonic(), callers: HashMap::new() }
    }
}

/// A call whose head was accepted: the caller knows the secret, and the call was not served before.
#[derive(Clone, Debug)]
pub struct Admitted {
    length: u64,
    digest: [u8; 32],
    signature: String,
}

/// A call that is not served.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The reason.
    pub error: SecretError,
    /// The call, if its signature is right. The answer is then signed, and has this receiver's epoch.
    pub proven: Option<Admitted>,
}

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        Self { error, proven: None }
    }
}

/// Why the body of an admitted call was refused.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is not the signed one.
    #[error(transparent)]
    NotAsSigned(#[from] SecretError),
    /// The body could not be read.
    #[error("the body could not be read: {0}")]
    Broken(#[from] axum::Error),
}

impl Admission {
    /// An admission with a new epoch. It refuses calls that were signed for another one.
    pub fn new(secret: ClusterSecret, env: Env) -> Self {
        let epochs = Mutex::new(Epochs { present: Epoch::begin(&env), before: None });
        Self { inner: Arc::new(Inner { secret, env, epochs, bodies: Semaphore::new(BODY_BYTES_MAX) }) }
    }

    /// The clock.
    pub fn env(&self) -> &Env {
        &self.inner.env
    }

    /// Checks the head of a call. It does not read the body.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub fn admit(
        &self,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        length_max: u64,
    ) -> Result<Admitted, Refusal> {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (key_id, head, signature) = Head::parse(authorization)?;
        self.inner.secret.check_key_id(key_id)?;
        self.inner.secret.verify("call", &head.message(method, path), signature)?;
        let admitted = Admitted { length: head.length, digest: head.digest, signature: signature.to_owned() };
        let checked = in_time(head.at, self.inner.env.now())
            .and_then(|()| check_length(headers, head.length, length_max))
            .and_then(|()| self.take_number(&head));
        match checked {
            Ok(()) => Ok(admitted),
            Err(error) => Err(Refusal { error, proven: Some(admitted) }),
        }
    }

    fn take_number(&self, head: &Head) -> Result<(), SecretError> {
        let mut epochs = self.present_epochs();
        let Epochs { present, before } = &mut *epochs;
        let epoch = if head.epoch == present.id {
            present
        } else {
            before.as_mut().filter(|before| before.id == head.epoch).ok_or(SecretError::OtherEpoch)?
        };
        let window = epoch.callers.entry(head.caller).or_insert_with(|| Window::starting_near(head.number));
        if window.take(head.number) { Ok(()) } else { Err(SecretError::Replayed) }
    }

    /// The epochs. It begins a new one first if the current one has expired or is full.
    fn present_epochs(&self) -> std::sync::MutexGuard<'_, Epochs> {
        let mut epochs = self.inner.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let age = self.inner.env.monotonic().saturating_sub(epochs.present.began);
        if age >= EPOCH_TIME || epochs.present.callers.len() >= CALLERS_MAX {
            let ended = std::mem::replace(&mut epochs.present, Epoch::begin(&self.inner.env));
            epochs.before = (age < 2 * EPOCH_TIME).then_some(ended);
        }
        epochs
    }

    /// Reads the body of an admitted call, and buffers no more of it than was signed.
    ///
    /// # Errors
    /// When the body is not the signed one, or ends early.
    pub async fn read_body(&self, admitted: &Admitted, body: Body) -> Result<Bytes, BodyError> {
        let _permit = self.reserve(admitted.length).await;
        let length = usize::try_from(admitted.length).map_err(|_| SecretError::OtherBody)?;
        let mut pieces = body.into_data_stream();
        let mut read = BytesMut::new();
        let mut digest = Sha256::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            if piece.len() > length - read.len() {
                return Err(SecretError::OtherBody.into());
            }
            digest.update(&piece);
            read.extend_from_slice(&piece);
        }
        let is_as_signed = read.len() == length && digest.finalize()[..] == admitted.digest;
        if is_as_signed { Ok(read.freeze()) } else { Err(SecretError::OtherBody.into()) }
    }

    async fn reserve(&self, length: u64) -> Option<SemaphorePermit<'_>> {
        if length <= SMALL_BODY {
            return None;
        }
        let permits = u32::try_from(length.min(BODY_BYTES_MAX as u64)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        self.inner.bodies.acquire_many(permits).await.ok()
    }

    /// The current epoch, and the signature of an answer: the values of its two headers.
    pub fn sign_answer(&self, call: &Admitted, status: u16, body: &[u8]) -> (String, String) {
        let epoch = format!("{:032x}", self.present_epochs().present.id);
        let message = answer_message(&call.signature, status, &epoch, body);
        let signature = self.inner.secret.sign("answer", message.as_bytes());
        (epoch, signature)
    }
}

/// Checks that a `Content-Length` is the signed length. Without one, `read_body` counts the bytes.
fn check_length(headers: &HeaderMap, signed: u64, length_max: u64) -> Result<(), SecretError> {
    let framed = headers.get(header::CONTENT_LENGTH).map(|value| value.to_str().ok()?.parse::<u64>().ok());
    if signed > length_max || framed.is_some_and(|framed| framed != Some(signed)) {
        return Err(SecretError::OtherBody);
    }
    Ok(())
}

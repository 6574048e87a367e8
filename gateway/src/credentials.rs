//! Whose signatures count: the secrets of access keys, looked up in the metanode when they are needed.
//!
//! What was looked up holds for a short while, so that a key that is changed or taken away is so on every gateway
//! soon, and the metanode is not asked for every request:
//!
//! * A secret is good for [`FRESH_FOR`] after the metanode has told it. In the second half of that time it is looked up
//!   again while requests go on, so that none of them waits for it.
//! * A signature that does not match is tried again with a secret looked up anew, at most once in [`RECHECK_AFTER`]: a
//!   key that was changed works at once.
//! * While the metanode does not answer, the last known secret is good for [`KEPT_FOR`] in all.
//! * That there is no such key is believed for [`ABSENT_FOR`].
//!
//! Requests that need the same secret share one look-up, and those for keys of which nothing is known share
//! [`LOOK_UPS_MAX`] places, so that strangers with made-up keys cannot make a flood of them. What is remembered is
//! bounded too.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::env::Env;
use cairn_protocol::metadata::{AccessKeyRef, AccessKeySecret, Metadata, MetadataError, RootCredentials};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use lru::LruCache;
use tokio::sync::{Semaphore, watch};

use crate::auth::SecretKey;
use crate::error::S3Result;

/// How long a secret is good after the metanode has told it: within this time a key that was taken away is refused.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(5);

/// How long after it was told a secret is good while the metanode does not answer. A request needs the metanode for
/// more than its secret, so this rarely lets anybody do anything; it keeps an outage from looking like wrong
/// credentials, for which clients do not try again.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(600);

/// How long it is believed that there is no such key: a new one works within this time wherever it was tried before.
pub(crate) const ABSENT_FOR: Duration = Duration::from_secs(2);

/// How old a secret must be before a signature that does not match has it looked up again; and how long a metanode that did
/// not answer is left alone while its last answer is good.
pub(crate) const RECHECK_AFTER: Duration = Duration::from_secs(1);

/// Secrets that are remembered, some hundred bytes each.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Keys that are known not to exist. They are apart, so that made-up keys push out no real one.
const ABSENT_MAX: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// Look-ups under way at once for keys of which nothing is known.
const LOOK_UPS_MAX: usize = 32;

/// AWS: an access key id has at most 128 characters. A longer one does not exist.
const ACCESS_KEY_LENGTH_MAX: usize = 128;

/// Looks up secrets and remembers them for a while. Clones share what they know.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    find: Find,
    env: Env,
    cache: Mutex<Cache>,
    places: Semaphore,
    is_ready: watch::Sender<bool>,
}

/// Asks for the secret of an access key.
type Find = Box<dyn Fn(AccessKeyRef) -> BoxFuture<'static, Found> + Send + Sync>;

type Found = Result<Option<AccessKeySecret>, MetadataError>;

struct Cache {
    known: LruCache<String, Known>,
    /// When it was told that there is none.
    absent: LruCache<String, Duration>,
    flights: HashMap<String, Flight>,
}

/// A secret, and when the metanode told it (on the monotonic clock).
#[derive(Clone, Debug)]
struct Known {
    secret: Arc<SecretKey>,
    told_at: Duration,
    /// When the metanode did not answer, if it did not when it was last asked.
    failed_at: Option<Duration>,
}

/// A look-up under way: its outcome goes to all who wait for it.
type Flight = Shared<BoxFuture<'static, Result<Option<Arc<SecretKey>>, MetadataError>>>;

/// What to do about a key.
enum Step {
    Answer(Option<Arc<SecretKey>>),
    Wait(Flight),
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}

impl Keyring {
    /// A keyring that asks this metanode.
    pub fn new(metadata: Arc<dyn Metadata>, env: Env) -> Self {
        Self::over(
            Box::new(move |request| {
                let metadata = metadata.clone();
                Box::pin(async move { metadata.find_access_key(request).await })
            }),
            env,
        )
    }

    fn over(find: Find, env: Env) -> Self {
        let cache = Cache {
            known: LruCache::new(KNOWN_MAX),
            absent: LruCache::new(ABSENT_MAX),
            flights: HashMap::new(),
        };
        Self(Arc::new(Inner {
            find,
            env,
            cache: Mutex::new(cache),
            places: Semaphore::new(LOOK_UPS_MAX),
            is_ready: watch::Sender::new(false),
        }))
    }

    /// The metanode has answered for the first time, with these: from now on clients are served.
    pub fn begin(&self, root: RootCredentials) {
        self.0.remember(&root.access_key, Some(Arc::new(SecretKey::new(root.secret_key))));
        self.0.is_ready.send_replace(true);
    }

    /// Whether the metanode has answered yet.
    pub fn is_ready(&self) -> bool {
        *self.0.is_ready.borrow()
    }

    /// Waits until the metanode has answered.
    pub async fn filled(&self) {
        // An error would mean that the sender is gone, which is here.
        let _ = self.0.is_ready.subscribe().wait_for(|is_ready| *is_ready).await;
    }

    /// The secret of an access key; `None` if the key does not exist.
    ///
    /// # Errors
    /// As the metanode's when it does not answer and nothing is known that is still good.
    pub async fn secret(&self, access_key: &str) -> S3Result<Option<Arc<SecretKey>>> {
        if access_key.len() > ACCESS_KEY_LENGTH_MAX {
            return Ok(None);
        }
        match self.0.step(access_key) {
            Step::Answer(secret) => Ok(secret),
            Step::Wait(flight) => self.0.outcome(access_key, flight).await,
        }
    }

    /// The secret of an access key if it is another one by now than `used`, with which a signature did not match.
    ///
    /// # Errors
    /// As [`secret`](Self::secret).
    pub async fn newer(&self, access_key: &str, used: &SecretKey) -> S3Result<Option<Arc<SecretKey>>> {
        let Some(flight) = self.0.recheck(access_key) else { return Ok(None) };
        let secret = self.0.outcome(access_key, flight).await?;
        Ok(secret.filter(|secret| !secret.is(used)))
    }
}

impl Inner {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A look-up that panicked in between left each entry whole.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(self: &Arc<Self>, access_key: &str) -> Step {
        let now = self.env.monotonic();
        let mut cache = self.cache();
        if let Some(known) = cache.known.get(access_key).cloned() {
            let age = now.saturating_sub(known.told_at);
            let is_good = age < FRESH_FOR || (known.failed_at.is_some() && age < KEPT_FOR);
            if !is_good {
                return Step::Wait(self.fly(&mut cache, access_key));
            }
            let may_ask = known.failed_at.is_none_or(|at| now.saturating_sub(at) >= RECHECK_AFTER);
            if age >= FRESH_FOR / 2 && may_ask {
                // It goes on by itself; no request waits for it.
                let _flight = self.fly(&mut cache, access_key);
            }
            return Step::Answer(Some(known.secret));
        }
        if cache.absent.get(access_key).is_some_and(|told_at| now.saturating_sub(*told_at) < ABSENT_FOR) {
            return Step::Answer(None);
        }
        Step::Wait(self.fly(&mut cache, access_key))
    }

    /// Looks a secret up again, unless it was just told, or the metanode does not answer anyway.
    fn recheck(self: &Arc<Self>, access_key: &str) -> Option<Flight> {
        let mut cache = self.cache();
        let known = cache.known.get(access_key)?;
        let age = self.env.monotonic().saturating_sub(known.told_at);
        let is_due = age >= RECHECK_AFTER && known.failed_at.is_none();
        is_due.then(|| self.fly(&mut cache, access_key))
    }

    /// The look-up of a key that is under way, or else a new one. It goes on when no request waits for it any more.
    fn fly(self: &Arc<Self>, cache: &mut Cache, access_key: &str) -> Flight {
        if let Some(flight) = cache.flights.get(access_key) {
            return flight.clone();
        }
        let (this, key) = (self.clone(), access_key.to_owned());
        let task = tokio::spawn(async move { this.look_up(&key).await });
        let outcome = task.map(|ended| ended.unwrap_or(Err(MetadataError::Internal)));
        let flight = outcome.boxed().shared();
        cache.flights.insert(access_key.to_owned(), flight.clone());
        flight
    }

    async fn look_up(&self, access_key: &str) -> Result<Option<Arc<SecretKey>>, MetadataError> {
        let is_known = self.cache().known.contains(access_key);
        // Those of whom nothing is known share the places, so that no stranger makes others wait. The semaphore is
        // never closed.
        let _place = if is_known { None } else { Some(self.places.acquire().await) };
        let request = AccessKeyRef { access_key: access_key.to_owned() };
        let found = (self.find)(request).await;
        let secret = found.map(|found| found.map(|found| Arc::new(SecretKey::new(found.secret_key))));
        match &secret {
            Ok(secret) => self.remember(access_key, secret.clone()),
            Err(error) => {
                cairn_protocol::warn_peer!(%error, "the metanode does not tell the secret of an access key");
                let now = self.env.monotonic();
                if let Some(known) = self.cache().known.get_mut(access_key) {
                    known.failed_at = Some(now);
                }
            }
        }
        self.cache().flights.remove(access_key);
        secret
    }

    fn remember(&self, access_key: &str, secret: Option<Arc<SecretKey>>) {
        let told_at = self.env.monotonic();
        let mut cache = self.cache();
        match secret {
            Some(secret) => {
                cache.absent.pop(access_key);
                cache.known.put(access_key.to_owned(), Known { secret, told_at, failed_at: None });
            }
            None => {
                cache.known.pop(access_key);
                cache.absent.put(access_key.to_owned(), told_at);
            }
        }
    }

    /// What a look-up came to; where it failed, what was known before and is still good.
    async fn outcome(&self, access_key: &str, flight: Flight) -> S3Result<Option<Arc<SecretKey>>> {
        match flight.await {
            Ok(secret) => Ok(secret),
            Err(error) => {
                let known = self.cache().known.get(access_key).cloned();
                let now = self.env.monotonic();
                match known.filter(|known| now.saturating_sub(known.told_at) < KEPT_FOR) {
                    Some(known) => Ok(Some(known.secret)),
                    None => Err(error.into()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

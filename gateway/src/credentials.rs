//! A cache of access keys, with their secrets and the policies of their holders, which the gateway looks up in the metanode.
//!
//! A cached secret is used for a short time only, so that a changed or deleted key stops working on every gateway soon,
//! and the metanode does not get a look-up for each request:
//!
//! * A secret is fresh for [`FRESH_FOR`] after the metanode returned it. In the second half of that time it is looked up
//!   again in the background, so that no request waits for it.
//! * A signature that does not match is checked again with a new look-up, at most once in [`RECHECK_AFTER`]. So a changed
//!   secret works at once.
//! * While the metanode does not answer, the last known secret is used for up to [`KEPT_FOR`].
//! * A key that does not exist is remembered as absent for [`ABSENT_FOR`].
//!
//! Requests that need the same secret share one look-up. Look-ups of unknown keys share [`LOOK_UPS_MAX`] slots, so that
//! requests with made-up keys cannot flood the metanode. The size of the cache is limited too.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::env::Env;
use cairn_protocol::metadata::{AccessKey, AccessKeyRef, Metadata, MetadataError, RootCredentials};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use lru::LruCache;
use tokio::sync::{Semaphore, watch};

use crate::auth::SecretKey;
use crate::error::S3Result;
use crate::identity::KeyHolder;

/// How long a secret is used without a new look-up. If the metanode answers, a deleted key is refused after this time at the
/// latest.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(5);

/// How long a secret is used while the metanode does not answer, counted from its last answer. Nearly all requests need
/// the metanode for more than the secret, so this grants little. It makes clients see a temporary error, which they
/// retry, instead of wrong credentials, which they do not.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(600);

/// How long an absent key is remembered as absent. A new key works within this time on gateways that refused it before.
pub(crate) const ABSENT_FOR: Duration = Duration::from_secs(2);

/// The minimum age of a secret before a signature that does not match causes a new look-up. Also the minimum pause
/// between look-ups while the metanode does not answer and its last answer is still used.
pub(crate) const RECHECK_AFTER: Duration = Duration::from_secs(1);

/// Upper limit of cached secrets, of some hundred bytes each.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Upper limit of cached absent keys. They have a cache of their own, so that made-up keys evict no real one.
const ABSENT_MAX: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// Upper limit of concurrent look-ups of unknown keys.
const LOOK_UPS_MAX: usize = 32;

/// AWS: an access key id has at most 128 characters. A longer one is refused without a look-up.
const ACCESS_KEY_LENGTH_MAX: usize = 128;

/// Looks up secrets and caches them. Clones share the cache.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    find: Find,
    env: Env,
    cache: Mutex<Cache>,
    places: Semaphore,
    is_ready: watch::Sender<bool>,
}

/// A function that looks up the secret of an access key.
type Find = Box<dyn Fn(AccessKeyRef) -> BoxFuture<'static, Found> + Send + Sync>;

type Found = Result<Option<AccessKey>, MetadataError>;

struct Cache {
    known: LruCache<String, Known>,
    /// When the metanode answered that the key does not exist.
    absent: LruCache<String, Duration>,
    flights: HashMap<String, Flight>,
}

/// A secret, and when the metanode returned it (on the monotonic clock).
#[derive(Clone, Debug)]
struct Known {
    secret: Arc<KeyHolder>,
    told_at: Duration,
    /// When the last look-up failed, if it did.
    failed_at: Option<Duration>,
}

/// A look-up in progress. All requests that need its result wait for the same one.
type Flight = Shared<BoxFuture<'static, Result<Option<Arc<KeyHolder>>, MetadataError>>>;

/// The next step for a key.
enum Step {
    Answer(Option<Arc<KeyHolder>>),
    Wait(Flight),
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}

impl Keyring {
    /// A keyring that looks up secrets in this metanode.
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

    /// Stores the first answer of the metanode. From now on clients are served.
    pub fn begin(&self, root: RootCredentials) {
        self.0.remember(&root.access_key, Some(Arc::new(KeyHolder::root(root.secret_key))));
        self.0.is_ready.send_replace(true);
    }

    /// Whether the metanode has answered since the start.
    pub fn is_ready(&self) -> bool {
        *self.0.is_ready.borrow()
    }

    /// Waits for the first answer of the metanode.
    pub async fn filled(&self) {
        // Waiting fails only when the sender is dropped, and `self` owns the sender.
        let _ = self.0.is_ready.subscribe().wait_for(|is_ready| *is_ready).await;
    }

    /// The secret of an access key, with its holder; `None` if the key does not exist.
    ///
    /// # Errors
    /// The error of the metanode, if it does not answer and no cached secret may be used.
    pub async fn secret(&self, access_key: &str) -> S3Result<Option<Arc<KeyHolder>>> {
        if access_key.len() > ACCESS_KEY_LENGTH_MAX {
            return Ok(None);
        }
        match self.0.step(access_key) {
            Step::Answer(secret) => Ok(secret),
            Step::Wait(flight) => self.0.outcome(access_key, flight).await,
        }
    }

    /// The current secret of an access key, if it differs from `used`, with which a signature did not match.
    ///
    /// # Errors
    /// The errors of [`secret`](Self::secret).
    pub async fn newer(&self, access_key: &str, used: &SecretKey) -> S3Result<Option<Arc<KeyHolder>>> {
        let Some(flight) = self.0.recheck(access_key) else { return Ok(None) };
        let secret = self.0.outcome(access_key, flight).await?;
        Ok(secret.filter(|holder| !holder.secret().is(used)))
    }
}

impl Inner {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A panic while the lock was held left every entry complete, so a poisoned lock is safe to use.
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
                // The look-up runs in the background; no request waits for it.
                let _flight = self.fly(&mut cache, access_key);
            }
            return Step::Answer(Some(known.secret));
        }
        if cache.absent.get(access_key).is_some_and(|told_at| now.saturating_sub(*told_at) < ABSENT_FOR) {
            return Step::Answer(None);
        }
        Step::Wait(self.fly(&mut cache, access_key))
    }

    /// Looks a secret up again, unless the last look-up was a moment ago or the metanode does not answer.
    fn recheck(self: &Arc<Self>, access_key: &str) -> Option<Flight> {
        let mut cache = self.cache();
        let known = cache.known.get(access_key)?;
        let age = self.env.monotonic().saturating_sub(known.told_at);
        let is_due = age >= RECHECK_AFTER && known.failed_at.is_none();
        is_due.then(|| self.fly(&mut cache, access_key))
    }

    /// The look-up of this key that is in progress, or a new one. It continues when no request waits for it any more.
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

    async fn look_up(&self, access_key: &str) -> Result<Option<Arc<KeyHolder>>, MetadataError> {
        let is_known = self.cache().known.contains(access_key);
        // Only look-ups of unknown keys share the slots, so that made-up keys delay no known key. The semaphore is
        // never closed.
        let _place = if is_known { None } else { Some(self.places.acquire().await) };
        let request = AccessKeyRef { access_key: access_key.to_owned() };
        let found = (self.find)(request).await;
        let secret = found.map(|found| found.map(|found| Arc::new(KeyHolder::new(found))));
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

    fn remember(&self, access_key: &str, secret: Option<Arc<KeyHolder>>) {
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

    /// The result of a look-up. If it failed, the cached secret, if it may still be used.
    async fn outcome(&self, access_key: &str, flight: Flight) -> S3Result<Option<Arc<KeyHolder>>> {
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

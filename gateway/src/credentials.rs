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
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};

use crate::auth::SecretKey;
use crate::error::{ErrorCode, S3Error, S3Result};
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

/// Upper limit of a session token, in bytes. Tokens that the metanode makes have up to some 4,000. A longer one is refused without a
/// look-up.
const TOKEN_LENGTH_MAX: usize = 16 << 10;

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
    known: LruCache<Name, Known>,
    /// When the metanode answered that the key does not exist.
    absent: LruCache<Name, Duration>,
    flights: HashMap<Name, Flight>,
    /// How often [`Keyring::forget_account`] was called. The result of a look-up that began before the last call is not cached.
    changes: u64,
}

/// An access key id, and the SHA-256 of its session token if it has one: tokens are some thousand bytes long.
type Name = (String, Option<[u8; 32]>);

fn name_of(key: &AccessKeyRef) -> Name {
    (key.access_key.clone(), key.token.as_ref().map(|token| Sha256::digest(token).into()))
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
            changes: 0,
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
        let name = (root.access_key, None);
        self.0.remember(&name, Some(Arc::new(KeyHolder::root(root.secret_key))));
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
    /// The error of the metanode, if it does not answer and no cached secret may be used; `ExpiredToken` for a session that has
    /// ended.
    pub async fn secret(&self, key: &AccessKeyRef) -> S3Result<Option<Arc<KeyHolder>>> {
        let is_long = |token: &String| token.len() > TOKEN_LENGTH_MAX;
        if key.access_key.len() > ACCESS_KEY_LENGTH_MAX || key.token.as_ref().is_some_and(is_long) {
            return Ok(None);
        }
        let holder = match self.0.step(key) {
            Step::Answer(secret) => Ok(secret),
            Step::Wait(flight) => self.0.outcome(key, flight).await,
        }?;
        match holder {
            // What is cached may be of a session that has ended since.
            Some(holder) if holder.is_over(self.0.env.now()) => Err(S3Error::new(ErrorCode::ExpiredToken)),
            holder => Ok(holder),
        }
    }

    /// The holder of an access key as the metanode has it now; `None` if the key does not exist any more. It is for decisions about
    /// access that need the present state.
    ///
    /// # Errors
    /// The error of the metanode.
    pub(crate) async fn fresh(&self, key: &AccessKeyRef) -> Result<Option<Arc<KeyHolder>>, MetadataError> {
        let changes = self.0.cache().changes;
        self.0.look_up(key.clone(), changes).await
    }

    /// The current secret of an access key, if it differs from `used`, with which a signature did not match.
    ///
    /// # Errors
    /// The errors of [`secret`](Self::secret).
    pub async fn newer(&self, key: &AccessKeyRef, used: &SecretKey) -> S3Result<Option<Arc<KeyHolder>>> {
        let Some(flight) = self.0.recheck(key) else { return Ok(None) };
        let secret = self.0.outcome(key, flight).await?;
        Ok(secret.filter(|holder| !holder.secret().is(used)))
    }

    /// Forgets the keys of an account, and the keys that do not exist, because this gateway has just changed identities of the
    /// account: clients of this gateway see the change at once.
    pub(crate) fn forget_account(&self, account: &str) {
        let mut cache = self.0.cache();
        let of_account = |known: &Known| known.secret.identity().account().id == account;
        let names: Vec<Name> =
            cache.known.iter().filter(|(_, known)| of_account(known)).map(|(name, _)| name.clone()).collect();
        for name in names {
            cache.known.pop(&name);
        }
        cache.absent.clear();
        // A look-up in progress may have read what was there before. Its result is not used for requests from now on.
        cache.changes += 1;
        cache.flights.clear();
    }
}

impl Inner {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A panic while the lock was held left every entry complete, so a poisoned lock is safe to use.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(self: &Arc<Self>, key: &AccessKeyRef) -> Step {
        let now = self.env.monotonic();
        let name = name_of(key);
        let mut cache = self.cache();
        if let Some(known) = cache.known.get(&name).cloned() {
            let age = now.saturating_sub(known.told_at);
            let is_good = age < FRESH_FOR || (known.failed_at.is_some() && age < KEPT_FOR);
            if !is_good {
                return Step::Wait(self.fly(&mut cache, key));
            }
            let may_ask = known.failed_at.is_none_or(|at| now.saturating_sub(at) >= RECHECK_AFTER);
            if age >= FRESH_FOR / 2 && may_ask {
                // The look-up runs in the background; no request waits for it.
                let _flight = self.fly(&mut cache, key);
            }
            return Step::Answer(Some(known.secret));
        }
        if cache.absent.get(&name).is_some_and(|told_at| now.saturating_sub(*told_at) < ABSENT_FOR) {
            return Step::Answer(None);
        }
        Step::Wait(self.fly(&mut cache, key))
    }

    /// Looks a secret up again, unless the last look-up was a moment ago or the metanode does not answer.
    fn recheck(self: &Arc<Self>, key: &AccessKeyRef) -> Option<Flight> {
        let mut cache = self.cache();
        let known = cache.known.get(&name_of(key))?;
        let age = self.env.monotonic().saturating_sub(known.told_at);
        let is_due = age >= RECHECK_AFTER && known.failed_at.is_none();
        is_due.then(|| self.fly(&mut cache, key))
    }

    /// The look-up of this key that is in progress, or a new one. It continues when no request waits for it any more.
    fn fly(self: &Arc<Self>, cache: &mut Cache, key: &AccessKeyRef) -> Flight {
        let name = name_of(key);
        if let Some(flight) = cache.flights.get(&name) {
            return flight.clone();
        }
        let (this, key, changes) = (self.clone(), key.clone(), cache.changes);
        let task = tokio::spawn(async move { this.look_up(key, changes).await });
        let outcome = task.map(|ended| ended.unwrap_or(Err(MetadataError::Internal)));
        let flight = outcome.boxed().shared();
        cache.flights.insert(name, flight.clone());
        flight
    }

    async fn look_up(
        &self,
        key: AccessKeyRef,
        changes: u64,
    ) -> Result<Option<Arc<KeyHolder>>, MetadataError> {
        let name = name_of(&key);
        let is_known = self.cache().known.contains(&name);
        // Only look-ups of unknown keys share the slots, so that made-up keys delay no known key. The semaphore is
        // never closed.
        let _place = if is_known { None } else { Some(self.places.acquire().await) };
        let found = (self.find)(key).await;
        let secret = found.map(|found| found.map(|found| Arc::new(KeyHolder::new(found))));
        if self.cache().changes != changes {
            return secret;
        }
        match &secret {
            Ok(secret) => self.remember(&name, secret.clone()),
            // The answer is final: no later one is another.
            Err(MetadataError::ExpiredToken) => {
                self.cache().known.pop(&name);
            }
            Err(error) => {
                cairn_protocol::warn_peer!(%error, "the metanode does not tell the secret of an access key");
                let now = self.env.monotonic();
                if let Some(known) = self.cache().known.get_mut(&name) {
                    known.failed_at = Some(now);
                }
            }
        }
        self.cache().flights.remove(&name);
        secret
    }

    fn remember(&self, name: &Name, secret: Option<Arc<KeyHolder>>) {
        let told_at = self.env.monotonic();
        let mut cache = self.cache();
        match secret {
            Some(secret) => {
                cache.absent.pop(name);
                cache.known.put(name.clone(), Known { secret, told_at, failed_at: None });
            }
            None => {
                cache.known.pop(name);
                cache.absent.put(name.clone(), told_at);
            }
        }
    }

    /// The result of a look-up. If it failed, the cached secret, if it may still be used.
    async fn outcome(&self, key: &AccessKeyRef, flight: Flight) -> S3Result<Option<Arc<KeyHolder>>> {
        match flight.await {
            Ok(secret) => Ok(secret),
            Err(error) => {
                let known = self.cache().known.get(&name_of(key)).cloned();
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

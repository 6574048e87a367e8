//! The keys of providers, fetched when they are needed and cached.
//!
//! * Keys are used for [`FRESH_FOR`], and while the provider does not answer, for [`KEPT_FOR`].
//! * A token with a key id that is not known causes a new fetch, because providers change their keys; but the keys of one provider
//!   are fetched at most once in [`PAUSE`], so that made-up tokens cannot flood it. A fetch that failed counts too.
//! * Requests that need the keys of the same provider share one fetch.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_protocol::env::Env;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use lru::LruCache;

use super::{Provider, fetch};

/// How long keys are used without a new fetch.
const FRESH_FOR: Duration = Duration::from_secs(3600);

/// How long keys are used while the provider does not answer.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// The shortest time between two fetches from one provider.
const PAUSE: Duration = Duration::from_secs(10);

/// Upper limit of cached providers, of up to some hundred KiB each.
const PROVIDERS_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// The keys of all providers. Clones share them.
#[derive(Clone)]
pub(crate) struct ProviderKeys {
    providers: Arc<Mutex<LruCache<Provider, Arc<tokio::sync::Mutex<State>>>>>,
    env: Env,
}

impl std::fmt::Debug for ProviderKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProviderKeys")
    }
}

#[derive(Default)]
struct State {
    keys: Option<(JwkSet, Duration)>,
    /// When the last fetch began, on the monotonic clock.
    asked_at: Option<Duration>,
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The provider does not answer as it should.
    Unreachable,
    /// The provider has no such key.
    Unknown,
}

impl ProviderKeys {
    /// No keys yet.
    pub(crate) fn new(env: Env) -> Self {
        Self { providers: Arc::new(Mutex::new(LruCache::new(PROVIDERS_MAX))), env }
    }

    /// The key of a provider that a token names. A token that names none is of a provider with one key.
    pub(super) async fn find(&self, provider: &Provider, key_id: Option<&str>) -> Result<Jwk, NoKey> {
        let state = {
            let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
            providers.get_or_insert(provider.clone(), Arc::default).clone()
        };
        let mut state = state.lock().await;
        let now = self.env.monotonic();
        let age = state.keys.as_ref().map(|(_, since)| now.saturating_sub(*since));
        let known = state.keys.as_ref().and_then(|(keys, _)| choose(keys, key_id));
        if let Some(key) = known.clone().filter(|_| age.is_some_and(|age| age < FRESH_FOR)) {
            return Ok(key);
        }
        let may_ask = state.asked_at.is_none_or(|at| now.saturating_sub(at) >= PAUSE);
        if !may_ask {
            let kept = known.filter(|_| age.is_some_and(|age| age < KEPT_FOR));
            return kept.ok_or(if age.is_some() { NoKey::Unknown } else { NoKey::Unreachable });
        }
        state.asked_at = Some(now);
        match fetch::keys(provider).await {
            Ok(keys) => {
                let found = choose(&keys, key_id);
                state.keys = Some((keys, self.env.monotonic()));
                found.ok_or(NoKey::Unknown)
            }
            Err(problem) => {
                cairn_protocol::warn_peer!(provider = %provider.url, problem, "the keys of an OpenID Connect provider cannot be fetched");
                known.filter(|_| age.is_some_and(|age| age < KEPT_FOR)).ok_or(NoKey::Unreachable)
            }
        }
    }
}

fn choose(keys: &JwkSet, key_id: Option<&str>) -> Option<Jwk> {
    match (key_id, keys.keys.as_slice()) {
        (Some(id), _) => keys.find(id).cloned(),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    }
}

//! The grants of one upload: renewed while it lives, and given back when it ends without a commit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use cairn_protocol::env::Env;
use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::{Grant, Metadata, MetadataError, ReleaseGrants, RenewGrants};
use cairn_protocol::rpc::{current_request_id, with_request_id};
use tokio_util::task::AbortOnDropHandle;

use super::Parts;

/// The grants of an upload. They are renewed while this value lives, and given back when it is dropped, unless they may
/// have been committed.
pub(super) struct Lease {
    metadata: Arc<dyn Metadata>,
    env: Env,
    held: Arc<Mutex<LeasedGrants>>,
    /// Runs from the first grant on: many an upload has none of its own.
    renewal: OnceLock<AbortOnDropHandle<()>>,
    /// Whether something was sent under the grants.
    is_used: AtomicBool,
}

#[derive(Default)]
struct LeasedGrants {
    grants: BTreeMap<BlockId, LeasedGrant>,
    /// Wakes the renewal when grants were added that may expire earlier.
    added: Arc<tokio::sync::Notify>,
}

/// A grant, and when to renew it on the monotonic clock: after half of its lifetime.
#[derive(Clone)]
pub(super) struct LeasedGrant {
    pub(super) grant: Grant,
    renew_at: Duration,
}

impl LeasedGrant {
    /// A grant that was made or renewed just now. Its remaining lifetime counts and not its end, because the metanode's
    /// clock may differ from this one.
    fn new(grant: Grant, env: &Env) -> Self {
        let left = match grant.lifetime_ms {
            0 => grant.expires_at.since(env.now()),
            lifetime => Duration::from_millis(lifetime),
        };
        Self { grant, renew_at: env.monotonic() + left / 2 }
    }
}

fn lock(held: &Mutex<LeasedGrants>) -> MutexGuard<'_, LeasedGrants> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pause before a failed renewal or release is retried.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How often a failed release is retried. A grant that is not given back expires.
const RELEASE_RETRIES: usize = 2;

impl Lease {
    pub(super) fn new(parts: &Parts) -> Self {
        Self {
            metadata: parts.metadata.clone(),
            env: parts.env.clone(),
            held: Arc::default(),
            renewal: OnceLock::new(),
            is_used: AtomicBool::new(true),
        }
    }

    /// A lease of a grant under which nothing is sent yet.
    pub(super) fn unused(parts: &Parts, grant: &Grant) -> Self {
        let lease = Self::new(parts);
        lease.is_used.store(false, Ordering::Relaxed);
        lease.add(std::slice::from_ref(grant));
        lease
    }

    /// Something is about to be sent.
    pub(super) fn begin_use(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Adds grants, which are renewed from now on.
    pub(super) fn add(&self, grants: &[Grant]) {
        let mut held = lock(&self.held);
        held.grants
            .extend(grants.iter().map(|grant| (grant.block, LeasedGrant::new(grant.clone(), &self.env))));
        held.added.notify_one();
        drop(held);
        self.renewal.get_or_init(|| {
            let renewal = renew(self.metadata.clone(), self.env.clone(), Arc::downgrade(&self.held));
            AbortOnDropHandle::new(tokio::spawn(with_request_id(current_request_id(), renewal)))
        });
    }

    /// The grant with its latest renewal.
    pub(super) fn current(&self, block: BlockId) -> Option<Grant> {
        lock(&self.held).grants.get(&block).map(|held| held.grant.clone())
    }

    /// Gives a grant back. What was stored under it will not be committed.
    pub(super) fn release(&self, block: BlockId) {
        let grant = lock(&self.held).grants.remove(&block);
        self.give_back(grant.into_iter().map(|held| held.grant).collect());
    }

    /// Gives back all grants except these.
    pub(super) fn release_all_but(&self, blocks: impl Iterator<Item = BlockId>) {
        let mut held = lock(&self.held);
        let mut unused = std::mem::take(&mut held.grants);
        held.grants.extend(blocks.filter_map(|block| unused.remove_entry(&block)));
        drop(held);
        self.give_back(unused.into_values().map(|held| held.grant).collect());
    }

    /// Stops renewing grants and giving them back, because a commit begins whose outcome may stay unknown. Grants that it
    /// does not commit expire.
    pub(super) fn disarm(&self) -> BTreeMap<BlockId, LeasedGrant> {
        std::mem::take(&mut lock(&self.held).grants)
    }

    /// Restores the state before [`disarm`](Self::disarm), because the commit was refused and nothing was done.
    pub(super) fn rearm(&self, grants: BTreeMap<BlockId, LeasedGrant>) {
        let mut held = lock(&self.held);
        held.grants.extend(grants);
        held.added.notify_one();
    }

    fn give_back(&self, grants: Vec<Grant>) {
        // Without a runtime the process is ending, and the grants expire.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !grants.is_empty() {
            let unused = !self.is_used.load(Ordering::Relaxed);
            let release = release(self.metadata.clone(), self.env.clone(), ReleaseGrants { grants, unused });
            runtime.spawn(with_request_id(current_request_id(), release));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(self.disarm().into_values().map(|held| held.grant).collect());
    }
}

async fn release(metadata: Arc<dyn Metadata>, env: Env, request: ReleaseGrants) {
    let attempt = || metadata.release_grants(request.clone());
    let released = attempt
        .retry(ConstantBuilder::new().with_delay(RETRY_DELAY).with_max_times(RELEASE_RETRIES))
        .sleep(env.sleeper())
        .when(|error| matches!(error, MetadataError::Unavailable { .. }))
        .await;
    if let Err(error) = released {
        cairn_protocol::warn_peer!(%error, "grants cannot be given back; they will expire");
    }
}

/// Renews all grants whenever half of the lifetime of the first one has passed.
async fn renew(metadata: Arc<dyn Metadata>, env: Env, held: Weak<Mutex<LeasedGrants>>) {
    while let Some((grants, added)) = snapshot(&held) {
        let added = added.notified();
        let Some(renew_at) = grants.iter().map(|held| held.renew_at).min() else {
            added.await;
            continue;
        };
        let wait = renew_at.saturating_sub(env.monotonic());
        if !wait.is_zero() {
            tokio::select! {
                () = env.sleep(wait) => {}
                // The new grants may expire before the others, so the wait is computed again.
                () = added => continue,
            }
        }
        // Some grants may have been given back during the wait.
        let Some((grants, _)) = snapshot(&held) else { return };
        let grants: Vec<_> = grants.into_iter().map(|held| held.grant).collect();
        match metadata.renew_grants(RenewGrants { grants }).await {
            Ok(renewed) => {
                let Some(held) = held.upgrade() else { return };
                let mut held = lock(&held);
                for grant in renewed {
                    // Grants that were given back during the renewal are not added again.
                    if let Some(old) = held.grants.get_mut(&grant.block) {
                        *old = LeasedGrant::new(grant, &env);
                    }
                }
            }
            Err(MetadataError::Unavailable { .. }) => env.sleep(RETRY_DELAY).await,
            // The commit will write this block again. The other grants are still renewed.
            Err(MetadataError::BlockLost { block, .. }) => {
                let Some(held) = held.upgrade() else { return };
                if lock(&held).grants.remove(&block).is_none() {
                    env.sleep(RETRY_DELAY).await;
                }
            }
            Err(error) => {
                cairn_protocol::warn_peer!(%error, "grants cannot be renewed; the commit will fail");
                return;
            }
        }
    }
}

fn snapshot(held: &Weak<Mutex<LeasedGrants>>) -> Option<(Vec<LeasedGrant>, Arc<tokio::sync::Notify>)> {
    let held = held.upgrade()?;
    let held = lock(&held);
    Some((held.grants.values().cloned().collect(), held.added.clone()))
}

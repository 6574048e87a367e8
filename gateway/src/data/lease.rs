//! The grants of one upload: renewed while it lives, and given back when it ends without a commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use cairn_protocol::env::Env;
use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::{Grant, Metadata, MetadataError, ReleaseGrants, RenewGrants};
use cairn_protocol::rpc::{current_request_id, with_request_id};
use tokio_util::task::AbortOnDropHandle;

use super::Parts;

/// Grants in hand. They are renewed while this lives, and given back when it is dropped, unless they may
/// have been committed.
pub(super) struct Lease {
    metadata: Arc<dyn Metadata>,
    env: Env,
    held: Arc<Mutex<LeasedGrants>>,
    _renewal: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct LeasedGrants {
    grants: BTreeMap<BlockId, LeasedGrant>,
    /// Wakes the renewal when there are grants with less time left.
    added: Arc<tokio::sync::Notify>,
}

/// A grant, and when to renew it by the monotonic clock: when half of its time is over.
#[derive(Clone)]
pub(super) struct LeasedGrant {
    pub(super) grant: Grant,
    renew_at: Duration,
}

impl LeasedGrant {
    /// Of a grant that was given or renewed just now. The metanode's clock may differ from ours by anything, so it is the
    /// time that is left which counts, and not when it ends.
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

/// How long to wait before a failed renewal or release is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How often a failed release is tried again. A grant that is not given back expires by itself.
const RELEASE_RETRIES: usize = 2;

impl Lease {
    pub(super) fn new(parts: &Parts) -> Self {
        let held = Arc::new(Mutex::new(LeasedGrants::default()));
        let renewal = renew(parts.metadata.clone(), parts.env.clone(), Arc::downgrade(&held));
        let renewal = tokio::spawn(with_request_id(current_request_id(), renewal));
        Self {
            metadata: parts.metadata.clone(),
            env: parts.env.clone(),
            held,
            _renewal: AbortOnDropHandle::new(renewal),
        }
    }

    /// Renews these grants from now on.
    pub(super) fn add(&self, grants: &[Grant]) {
        let mut held = lock(&self.held);
        held.grants
            .extend(grants.iter().map(|grant| (grant.block, LeasedGrant::new(grant.clone(), &self.env))));
        held.added.notify_one();
    }

    /// The grant as it was renewed last.
    pub(super) fn current(&self, block: BlockId) -> Option<Grant> {
        lock(&self.held).grants.get(&block).map(|held| held.grant.clone())
    }

    /// Gives a grant back: nothing that was stored under it will be committed.
    pub(super) fn release(&self, block: BlockId) {
        let grant = lock(&self.held).grants.remove(&block);
        self.give_back(grant.into_iter().map(|held| held.grant).collect());
    }

    /// Gives back all but these.
    pub(super) fn release_all_but(&self, blocks: impl Iterator<Item = BlockId>) {
        let mut held = lock(&self.held);
        let mut unused = std::mem::take(&mut held.grants);
        held.grants.extend(blocks.filter_map(|block| unused.remove_entry(&block)));
        drop(held);
        self.give_back(unused.into_values().map(|held| held.grant).collect());
    }

    /// Nothing is given back any more: a commit has begun whose outcome may stay unknown. What is not
    /// committed expires by itself.
    pub(super) fn disarm(&self) -> BTreeMap<BlockId, LeasedGrant> {
        std::mem::take(&mut lock(&self.held).grants)
    }

    /// The commit was refused before anything was done: all is as it was before [`disarm`](Self::disarm).
    pub(super) fn rearm(&self, grants: BTreeMap<BlockId, LeasedGrant>) {
        let mut held = lock(&self.held);
        held.grants.extend(grants);
        held.added.notify_one();
    }

    fn give_back(&self, grants: Vec<Grant>) {
        // Without a runtime the process is ending, and the grants expire.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !grants.is_empty() {
            let release = release(self.metadata.clone(), self.env.clone(), grants);
            runtime.spawn(with_request_id(current_request_id(), release));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(self.disarm().into_values().map(|held| held.grant).collect());
    }
}

async fn release(metadata: Arc<dyn Metadata>, env: Env, grants: Vec<Grant>) {
    let attempt = || metadata.release_grants(ReleaseGrants { grants: grants.clone() });
    let released = attempt
        .retry(ConstantBuilder::new().with_delay(RETRY_DELAY).with_max_times(RELEASE_RETRIES))
        .sleep(env.sleeper())
        .when(|error| matches!(error, MetadataError::Unavailable { .. }))
        .await;
    if let Err(error) = released {
        cairn_protocol::warn_peer!(%error, "grants cannot be given back; they will expire");
    }
}

/// Renews all grants when half of the time of the first of them is over.
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
                // The new grants may expire before the others: compute the wait again.
                () = added => continue,
            }
        }
        // Some may have been given back meanwhile.
        let Some((grants, _)) = snapshot(&held) else { return };
        let grants: Vec<_> = grants.into_iter().map(|held| held.grant).collect();
        match metadata.renew_grants(RenewGrants { grants }).await {
            Ok(renewed) => {
                let Some(held) = held.upgrade() else { return };
                let mut held = lock(&held);
                for grant in renewed {
                    // Not those that were given back while the renewal was under way.
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

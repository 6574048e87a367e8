use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

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
    held: Arc<Mutex<Held>>,
    _renewal: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Held {
    grants: BTreeMap<BlockId, Grant>,
    /// Wakes the renewal when there are grants with less time left.
    added: Arc<tokio::sync::Notify>,
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long to wait before a failed renewal or release is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How often a release is tried. A grant that is not given back expires by itself.
const RELEASE_ATTEMPTS: u32 = 3;

impl Lease {
    pub(super) fn new(parts: &Parts) -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let renewal = renew(parts.metadata.clone(), parts.env.clone(), Arc::downgrade(&held));
        let renewal = tokio::spawn(with_request_id(current_request_id(), renewal));
        Self {
            metadata: parts.metadata.clone(),
            env: parts.env.clone(),
            held,
            _renewal: AbortOnDropHandle::new(renewal),
        }
    }

    /// Takes these grants into care.
    pub(super) fn add(&self, grants: &[Grant]) {
        let mut held = lock(&self.held);
        held.grants.extend(grants.iter().map(|grant| (grant.block, grant.clone())));
        held.added.notify_one();
    }

    /// The grant as it was renewed last.
    pub(super) fn current(&self, block: BlockId) -> Option<Grant> {
        lock(&self.held).grants.get(&block).cloned()
    }

    /// Gives a grant back: nothing that was stored under it will be committed.
    pub(super) fn release(&self, block: BlockId) {
        let grant = lock(&self.held).grants.remove(&block);
        self.give_back(grant.into_iter().collect());
    }

    /// Gives back all but these.
    pub(super) fn release_all_but(&self, blocks: impl Iterator<Item = BlockId>) {
        let mut held = lock(&self.held);
        let mut unused = std::mem::take(&mut held.grants);
        held.grants.extend(blocks.filter_map(|block| unused.remove_entry(&block)));
        drop(held);
        self.give_back(unused.into_values().collect());
    }

    /// Nothing is given back any more: a commit has begun whose outcome may stay unknown. What is not
    /// committed expires by itself.
    pub(super) fn disarm(&self) -> BTreeMap<BlockId, Grant> {
        std::mem::take(&mut lock(&self.held).grants)
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
        self.give_back(self.disarm().into_values().collect());
    }
}

async fn release(metadata: Arc<dyn Metadata>, env: Env, grants: Vec<Grant>) {
    for _ in 0..RELEASE_ATTEMPTS {
        match metadata.release_grants(ReleaseGrants { grants: grants.clone() }).await {
            Ok(()) => return,
            Err(MetadataError::Unavailable { .. }) => env.sleep(RETRY_DELAY).await,
            Err(error) => {
                cairn_protocol::warn_peer!(%error, "grants cannot be given back; they will expire");
                return;
            }
        }
    }
}

/// Renews all grants at half of the time that the first of them has left.
async fn renew(metadata: Arc<dyn Metadata>, env: Env, held: Weak<Mutex<Held>>) {
    while let Some((grants, added)) = snapshot(&held) {
        let added = added.notified();
        let Some(expires_at) = grants.iter().map(|grant| grant.expires_at).min() else {
            added.await;
            continue;
        };
        let wait = expires_at.since(env.now()) / 2;
        if !wait.is_zero() {
            tokio::select! {
                () = env.sleep(wait) => {}
                // The new grants may expire before the others: reckon again.
                () = added => continue,
            }
        }
        // Some may have been given back meanwhile.
        let Some((grants, _)) = snapshot(&held) else { return };
        match metadata.renew_grants(RenewGrants { grants }).await {
            Ok(renewed) => {
                let Some(held) = held.upgrade() else { return };
                let mut held = lock(&held);
                for grant in renewed {
                    // Not those that were given back while the renewal was under way.
                    if let Some(old) = held.grants.get_mut(&grant.block) {
                        *old = grant;
                    }
                }
            }
            Err(MetadataError::Unavailable { .. }) => env.sleep(RETRY_DELAY).await,
            Err(error) => {
                cairn_protocol::warn_peer!(%error, "grants cannot be renewed; the commit will fail");
                return;
            }
        }
    }
}

fn snapshot(held: &Weak<Mutex<Held>>) -> Option<(Vec<Grant>, Arc<tokio::sync::Notify>)> {
    let held = held.upgrade()?;
    let held = lock(&held);
    Some((held.grants.values().cloned().collect(), held.added.clone()))
}

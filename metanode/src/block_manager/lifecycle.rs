//! What the lifecycle worker does. The namespace knows versions and rules and implements it; the block manager has the worker.

use cairn_protocol::admin::{AdminError, ExplainLifecycle, LifecycleExplanation, LifecycleStatus};
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;

use super::BlockManager;
use crate::store::{BoxFuture, Connection, StoreError};

/// The lifecycle of objects, in steps of one transaction each.
pub(crate) trait LifecycleActions: std::fmt::Debug + Send + Sync {
    /// The time by which rules are due.
    fn now(&self) -> Timestamp;

    /// Does what is due with up to `max` versions and as many uploads, in the order of time.
    fn step<'t>(
        &'t self,
        tx: &'t mut Connection,
        blocks: &'t BlockManager,
        max: u32,
    ) -> BoxFuture<'t, Result<LifecycleStep, StoreError>>;

    /// Sets due times anew for up to `max` versions or uploads of a bucket whose rules were changed. `None` if there is no such bucket.
    fn walk<'t>(
        &'t self,
        tx: &'t mut Connection,
        max: u32,
    ) -> BoxFuture<'t, Result<Option<LifecycleWalk>, StoreError>>;

    /// What the rules of a bucket want of a key.
    fn explain<'t>(
        &'t self,
        reader: &'t mut Connection,
        request: ExplainLifecycle,
    ) -> BoxFuture<'t, Result<LifecycleExplanation, AdminError>>;

    /// The buckets with rules, and what is due.
    fn status<'t>(&'t self, reader: &'t mut Connection)
    -> BoxFuture<'t, Result<LifecycleStatus, StoreError>>;
}

/// What a step did.
#[derive(Clone, Debug, Default)]
pub(crate) struct LifecycleStep {
    /// Versions and uploads that were looked at.
    pub(crate) examined: u32,
    /// What was done.
    pub(crate) counts: LifecycleCounts,
    /// Versions that were passed over because of a lock.
    pub(crate) locked: u64,
    /// Rows that were passed over because they are damaged.
    pub(crate) damaged: u64,
    /// What to tell when the transaction is done.
    pub(crate) events: Vec<EventKind>,
}

/// How often each action was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LifecycleCounts {
    pub(crate) expired: u64,
    pub(crate) deleted: u64,
    pub(crate) markers: u64,
    pub(crate) changed: u64,
    pub(crate) aborted: u64,
}

impl LifecycleStep {
    /// Counts an action.
    pub(crate) fn count(&mut self, action: &cairn_lifecycle::Action) {
        use cairn_lifecycle::Action;
        let counter = match action {
            Action::Expire => &mut self.counts.expired,
            Action::DeleteVersion => &mut self.counts.deleted,
            Action::RemoveMarker => &mut self.counts.markers,
            Action::Transition(_) => &mut self.counts.changed,
            Action::Abort => &mut self.counts.aborted,
        };
        *counter += 1;
    }
}

impl LifecycleCounts {
    /// All actions together.
    pub(crate) fn total(&self) -> u64 {
        let Self { expired, deleted, markers, changed, aborted } = self;
        expired + deleted + markers + changed + aborted
    }

    /// Adds those of another step.
    pub(crate) fn add(&mut self, other: Self) {
        self.expired += other.expired;
        self.deleted += other.deleted;
        self.markers += other.markers;
        self.changed += other.changed;
        self.aborted += other.aborted;
    }
}

/// What a step of a walk did.
#[derive(Clone, Debug, Default)]
pub(crate) struct LifecycleWalk {
    /// The bucket; empty if it is gone.
    pub(crate) bucket: String,
    /// How many versions and uploads this step looked at.
    pub(crate) looked_at: u32,
    /// And all steps so far.
    pub(crate) looked_at_in_all: u64,
    /// Whether the walk is done.
    pub(crate) is_done: bool,
}

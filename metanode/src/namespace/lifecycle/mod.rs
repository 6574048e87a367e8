//! The lifecycle of objects: what the rules of buckets want is done, and shown to operators. When it is due, `namespace::schedule` knows.
//!
//! | module | contents |
//! |---|---|
//! | `act` | what is due is done, in the transaction that decides it |
//! | `walk` | after a change of the rules, due times are set anew, in steps |
//! | `explain` | for operators: what the rules want, and why something is not done |
//!
//! The pure rules are in the crate `cairn_lifecycle`. The worker of the block manager calls this module through
//! [`LifecycleActions`].

mod act;
mod explain;
mod walk;

use cairn_protocol::admin::{AdminError, ExplainLifecycle, LifecycleExplanation, LifecycleStatus};
use cairn_protocol::env::{Env, Timestamp};
use futures_util::FutureExt;

use super::schedule::Schedule;
use crate::block_manager::{BlockManager, LifecycleActions, LifecycleStep, LifecycleWalk, LockClock};
use crate::store::{BoxFuture, Connection, StoreError};

/// The lifecycle of objects.
#[derive(Clone, Debug)]
pub(super) struct Lifecycle {
    env: Env,
    clock: LockClock,
    schedule: Schedule,
}

impl Lifecycle {
    pub(super) fn new(schedule: Schedule, blocks: &BlockManager, env: &Env) -> Self {
        Self { env: env.clone(), clock: blocks.lock_clock().clone(), schedule }
    }
}

impl LifecycleActions for Lifecycle {
    fn now(&self) -> Timestamp {
        self.schedule.now()
    }

    fn step<'t>(
        &'t self,
        tx: &'t mut Connection,
        blocks: &'t BlockManager,
        max: u32,
    ) -> BoxFuture<'t, Result<LifecycleStep, StoreError>> {
        self.act(tx, blocks, max).boxed()
    }

    fn walk<'t>(
        &'t self,
        tx: &'t mut Connection,
        max: u32,
    ) -> BoxFuture<'t, Result<Option<LifecycleWalk>, StoreError>> {
        self.walk_on(tx, max).boxed()
    }

    fn explain<'t>(
        &'t self,
        reader: &'t mut Connection,
        request: ExplainLifecycle,
    ) -> BoxFuture<'t, Result<LifecycleExplanation, AdminError>> {
        self.explain_key(reader, request).boxed()
    }

    fn status<'t>(
        &'t self,
        reader: &'t mut Connection,
    ) -> BoxFuture<'t, Result<LifecycleStatus, StoreError>> {
        self.all_buckets(reader).boxed()
    }
}

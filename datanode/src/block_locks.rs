//! Locks on blocks: one task at a time writes a block, deletes it, or moves it into quarantine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_protocol::env::Env;
use cairn_protocol::id::BlockId;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// How long a second writer of the same block waits for the first. Long enough for a writer to end whose client disconnected and
/// repeats its request; short compared with a client's time-out.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The locks of all blocks that a task holds or waits for.
#[derive(Debug, Default)]
pub(crate) struct BlockLocks {
    slots: Mutex<HashMap<BlockId, Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Cancelled to make a task that receives the block stop.
    stop: CancellationToken,
    /// How many tasks hold the lock or wait for it.
    users: usize,
}

/// The lock of one block. It is released when this is dropped.
#[derive(Debug)]
pub(crate) struct BlockLock {
    // Fields are dropped in order. The slot must outlive the guard, or another task would make a second lock for the block.
    _guard: OwnedMutexGuard<()>,
    user: User,
}

impl BlockLock {
    /// A token that is cancelled when another task wants to delete the block.
    pub(crate) fn stop(&self) -> CancellationToken {
        let slots = self.user.locks.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(&self.user.block).map(|slot| slot.stop.clone()).unwrap_or_default()
    }
}

#[derive(Debug)]
struct User {
    locks: Arc<BlockLocks>,
    block: BlockId,
}

impl BlockLocks {
    /// Locks a block to write it; `None` when another task does not release it in time.
    pub(crate) async fn lock_to_write(self: &Arc<Self>, block: BlockId, env: &Env) -> Option<BlockLock> {
        env.timeout(WAIT_MAX, self.lock(block)).await.ok()
    }

    /// Locks a block to delete it. A task that is receiving the block is stopped.
    pub(crate) async fn lock_to_delete(self: &Arc<Self>, block: BlockId) -> BlockLock {
        if let Some(slot) = self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(&block) {
            slot.stop.cancel();
        }
        self.lock(block).await
    }

    /// Locks a block, unless another task has locked it.
    pub(crate) fn try_lock(self: &Arc<Self>, block: BlockId) -> Option<BlockLock> {
        let (user, lock) = self.enter(block);
        let guard = lock.try_lock_owned().ok()?;
        Some(BlockLock { _guard: guard, user })
    }

    async fn lock(self: &Arc<Self>, block: BlockId) -> BlockLock {
        let (user, lock) = self.enter(block);
        let guard = lock.lock_owned().await;
        BlockLock { _guard: guard, user }
    }

    fn enter(self: &Arc<Self>, block: BlockId) -> (User, Arc<tokio::sync::Mutex<()>>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(block).or_default();
        slot.users += 1;
        (User { locks: self.clone(), block }, slot.lock.clone())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut slots = self.locks.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(&self.block) {
            slot.users -= 1;
            if slot.users == 0 {
                slots.remove(&self.block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_delete_stops_the_receiver_and_waits_for_it() {
        let (locks, env) = (Arc::new(BlockLocks::default()), Env::system());
        let block = BlockId(Uuid::from_u128(1));
        let receiving = locks.lock_to_write(block, &env).await.unwrap();
        let stop = receiving.stop();
        assert!(locks.try_lock(block).is_none());
        let mut delete = Box::pin(locks.lock_to_delete(block));
        assert!(futures_util::poll!(&mut delete).is_pending());
        assert!(stop.is_cancelled());
        drop(receiving);
        drop(delete.await);
        assert!(locks.slots.lock().unwrap().is_empty());
        assert!(!locks.lock_to_write(block, &env).await.unwrap().stop().is_cancelled());
    }
}

//! Who is busy with a block: one at a time writes, deletes or sets it aside.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_protocol::id::BlockId;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// How long a second writer of the same block waits for the first: long enough for the end of one whose client has
/// just gone and come back, short against a client's patience.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The blocks that somebody is busy with.
#[derive(Debug, Default)]
pub(crate) struct BlockLocks {
    slots: Mutex<HashMap<BlockId, Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Tells who receives the block to stop.
    stop: CancellationToken,
    /// Those who hold or wait for the turn.
    users: usize,
}

/// The right to change one block.
#[derive(Debug)]
pub(crate) struct BlockLock {
    // Dropped first: the slot must outlive the turn.
    _guard: OwnedMutexGuard<()>,
    user: User,
}

impl BlockLock {
    /// Is cancelled when the block is to be deleted.
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
    /// Takes the turn to write a block; `None` when somebody else does not finish.
    pub(crate) async fn lock_to_write(self: &Arc<Self>, block: BlockId) -> Option<BlockLock> {
        tokio::time::timeout(WAIT_MAX, self.lock(block)).await.ok()
    }

    /// Takes the turn to delete a block, after stopping who receives it.
    pub(crate) async fn lock_to_delete(self: &Arc<Self>, block: BlockId) -> BlockLock {
        if let Some(slot) = self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(&block) {
            slot.stop.cancel();
        }
        self.lock(block).await
    }

    /// Takes the turn if nobody has it.
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
        let locks = Arc::new(BlockLocks::default());
        let block = BlockId(Uuid::from_u128(1));
        let receiving = locks.lock_to_write(block).await.unwrap();
        let stop = receiving.stop();
        assert!(locks.try_lock(block).is_none());
        let mut delete = Box::pin(locks.lock_to_delete(block));
        assert!(futures_util::poll!(&mut delete).is_pending());
        assert!(stop.is_cancelled());
        drop(receiving);
        drop(delete.await);
        assert!(locks.slots.lock().unwrap().is_empty());
        assert!(!locks.lock_to_write(block).await.unwrap().stop().is_cancelled());
    }
}

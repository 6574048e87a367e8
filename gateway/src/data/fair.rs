//! A semaphore that is fair between owners. Each owner has a queue, and the owners take turns. So an owner with a thousand
//! requests delays only its own requests.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_protocol::warn_self;
use tokio::sync::{oneshot, watch};

use super::owner::Owner;

/// A number of units, granted in turn. Clones share them.
#[derive(Clone)]
pub(super) struct Fair {
    inner: Arc<Inner>,
}

struct Inner {
    units: u32,
    state: Mutex<QueueState>,
    /// The number of waiters.
    waiting: watch::Sender<usize>,
}

struct QueueState {
    free: u32,
    /// The lowest number of free units so far.
    free_min: u32,
    queues: HashMap<Owner, VecDeque<Waiter>>,
    /// Owners with a queue, in the order of their turns.
    turns: VecDeque<Owner>,
}

struct Waiter {
    units: u32,
    granted: oneshot::Sender<Permit>,
}

/// Units that were granted. When it is dropped, they are free again.
#[must_use]
pub(super) struct Permit {
    fair: Fair,
    units: u32,
}

impl Fair {
    /// A semaphore with this many units, all free.
    pub(super) fn new(units: u32) -> Self {
        let state =
            QueueState { free: units, free_min: units, queues: HashMap::new(), turns: VecDeque::new() };
        let waiting = watch::Sender::new(0);
        Self { inner: Arc::new(Inner { units, state: Mutex::new(state), waiting }) }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of all units.
    pub(super) fn units(&self) -> u32 {
        self.inner.units
    }

    /// The number of units in use.
    pub(super) fn taken(&self) -> u32 {
        self.inner.units - self.state().free
    }

    /// The highest number of units that were in use at once.
    pub(super) fn taken_max(&self) -> u32 {
        self.inner.units - self.state().free_min
    }

    /// The number of waiters.
    pub(super) fn waiting(&self) -> watch::Receiver<usize> {
        self.inner.waiting.subscribe()
    }

    /// Takes units if they are free and no other client waits.
    pub(super) fn try_acquire(&self, units: u32) -> Option<Permit> {
        let mut state = self.state();
        (state.turns.is_empty() && state.free >= units).then(|| state.take(self, units))
    }

    /// Waits in turn for units, at most as many as there are.
    pub(super) async fn acquire(&self, owner: &Owner, units: u32) -> Permit {
        let units = units.min(self.inner.units);
        let granted = {
            let mut state = self.state();
            if state.turns.is_empty() && state.free >= units {
                return state.take(self, units);
            }
            let (waiter, granted) = oneshot::channel();
            if !state.queues.contains_key(owner) {
                state.turns.push_back(owner.clone());
            }
            state.queues.entry(owner.clone()).or_default().push_back(Waiter { units, granted: waiter });
            granted
        };
        let _waiting = Waiting::begin(self);
        match granted.await {
            Ok(permit) => permit,
            // The queue lives as long as `self` and removes only waiters that were cancelled.
            Err(_) => std::future::pending().await,
        }
    }

    fn give_back(&self, units: u32) {
        self.state().put(units, self.inner.units);
        self.hand_out();
    }

    /// Grants free units to the waiters whose turn it is.
    fn hand_out(&self) {
        loop {
            let Some((waiter, permit)) = self.state().next(self) else { return };
            // A waiter that was cancelled does not take its permit; its units are free again.
            if let Err(unclaimed) = waiter.granted.send(permit) {
                // `forget` instead of a drop, which would call this function again.
                self.state().put(unclaimed.forget(), self.inner.units);
            }
        }
    }
}

impl QueueState {
    /// Makes units free again. More free units than exist would mean that some were given back twice, and that memory
    /// is granted that does not exist. A permit is dropped perhaps while a request panics, so this function does not
    /// panic; it logs the fault and keeps to the existing number.
    fn put(&mut self, units: u32, all: u32) {
        let free = u64::from(self.free) + u64::from(units);
        debug_assert!(free <= u64::from(all), "{units} units were given back twice");
        if free > u64::from(all) {
            warn_self!(units, all, free, "units of memory were given back twice");
        }
        self.free = u32::try_from(free).unwrap_or(u32::MAX).min(all);
    }

    fn take(&mut self, fair: &Fair, units: u32) -> Permit {
        self.free -= units;
        self.free_min = self.free_min.min(self.free);
        Permit { fair: fair.clone(), units }
    }

    /// The next waiter, if the units that it needs are free.
    fn next(&mut self, fair: &Fair) -> Option<(Waiter, Permit)> {
        loop {
            let owner = self.turns.front()?.clone();
            let queue = self.queues.get_mut(&owner);
            let waiter = queue.and_then(|queue| {
                while queue.front().is_some_and(|waiter| waiter.granted.is_closed()) {
                    queue.pop_front();
                }
                match queue.front() {
                    Some(waiter) if waiter.units > self.free => None,
                    _ => Some(queue.pop_front()),
                }
            })?;
            self.turns.pop_front();
            if self.queues.get(&owner).is_some_and(VecDeque::is_empty) {
                self.queues.remove(&owner);
            } else {
                self.turns.push_back(owner);
            }
            if let Some(waiter) = waiter {
                let permit = self.take(fair, waiter.units);
                return Some((waiter, permit));
            }
        }
    }
}

impl Permit {
    /// The number of units.
    pub(super) fn units(&self) -> u32 {
        self.units
    }

    /// Moves up to this many units into a new permit.
    pub(super) fn split(&mut self, units: u32) -> Self {
        let units = units.min(self.units);
        self.units -= units;
        Self { fair: self.fair.clone(), units }
    }

    /// Adds the units of another permit.
    pub(super) fn merge(&mut self, other: Self) {
        self.units += other.forget();
    }

    fn forget(mut self) -> u32 {
        std::mem::take(&mut self.units)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.units > 0 {
            self.fair.give_back(self.units);
        }
    }
}

/// Counts a waiter. When a waiter is cancelled, the next one may need fewer units and can perhaps be served.
struct Waiting<'a>(&'a Fair);

impl<'a> Waiting<'a> {
    fn begin(fair: &'a Fair) -> Self {
        fair.inner.waiting.send_modify(|waiting| *waiting += 1);
        Self(fair)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.inner.waiting.send_modify(|waiting| *waiting -= 1);
        self.0.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;

    fn owner(number: u8) -> Owner {
        Owner::of(std::net::IpAddr::from([10, 0, 0, number]), "key")
    }

    #[tokio::test]
    async fn owners_take_turns_for_any_number_of_requests_of_one_of_them() {
        let fair = Fair::new(10);
        let all = fair.acquire(&owner(0), 10).await;
        let mut waiting = Vec::new();
        for (who, owner) in
            [(1, owner(1)), (1, owner(1)), (1, owner(1)), (2, owner(2)), (3, owner(3)), (2, owner(2))]
        {
            let fair = fair.clone();
            let mut wait = async move { (who, fair.acquire(&owner, 10).await) }.boxed();
            assert!((&mut wait).now_or_never().is_none());
            waiting.push(wait);
        }
        assert_eq!(*fair.waiting().borrow(), 6);
        drop(all);
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let ((who, permit), _, rest) = futures_util::future::select_all(waiting).await;
            order.push(who);
            drop(permit);
            waiting = rest;
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 1]);
        assert_eq!((fair.taken(), fair.taken_max(), *fair.waiting().borrow()), (0, 10, 0));
    }

    #[tokio::test]
    async fn a_cancelled_waiter_delays_no_other_and_loses_no_units() {
        let fair = Fair::new(4);
        let mut some = fair.acquire(&owner(0), 4).await;
        let (first, second) = (owner(1), owner(2));
        let mut large = fair.acquire(&first, 4).boxed();
        let mut small = fair.acquire(&second, 1).boxed();
        assert!((&mut large).now_or_never().is_none() && (&mut small).now_or_never().is_none());
        drop(some.split(2));
        assert!((&mut small).now_or_never().is_none(), "the large one is first");
        drop(large);
        let small = small.now_or_never().expect("it is its turn");
        // A permit that was granted and not received is free again.
        let third = owner(3);
        let mut granted = fair.acquire(&third, 4).boxed();
        assert!((&mut granted).now_or_never().is_none());
        drop((some, small));
        drop(granted);
        assert_eq!(fair.taken(), 0);
        assert_eq!(fair.acquire(&owner(4), 100).await.units(), 4);
    }

    proptest! {
        /// No unit is granted twice, none is lost, and every waiter is served in the end.
        #[test]
        fn whatever_happens_units_are_conserved(steps in proptest::collection::vec((0u8..4, 1u32..6, any::<bool>()), 1..60)) {
            let fair = Fair::new(8);
            let (mut held, mut waiting) = (Vec::new(), Vec::new());
            for (who, units, gives_up) in steps {
                if gives_up && !waiting.is_empty() {
                    drop(waiting.swap_remove(units as usize % waiting.len()));
                } else if gives_up {
                    held.pop();
                } else {
                    let fair = fair.clone();
                    waiting.push(async move { fair.acquire(&owner(who), units).await }.boxed());
                }
                waiting.retain_mut(|wait: &mut futures_util::future::BoxFuture<'_, Permit>| match wait.now_or_never() {
                    Some(permit) => { held.push(permit); false }
                    None => true,
                });
                let sum: u32 = held.iter().map(Permit::units).sum();
                prop_assert!(sum <= 8 && fair.taken() >= sum);
            }
            // Each permit that is given back admits others.
            while !waiting.is_empty() || !held.is_empty() {
                held.clear();
                let before = waiting.len();
                waiting.retain_mut(|wait| match wait.now_or_never() {
                    Some(permit) => { held.push(permit); false }
                    None => true,
                });
                prop_assert!(waiting.len() < before || before == 0, "somebody waits for ever");
            }
            prop_assert_eq!(fair.taken(), 0);
        }
    }
}

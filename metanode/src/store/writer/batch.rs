//! The mutations of one transaction, and the limits of their number and time.

use std::time::Duration;

use super::lane::Lane;
use super::mutation::Mutation;
use crate::store::StoreError;

/// Time that mutations may take in one transaction; the last one may exceed it. It bounds how long the first mutation
/// waits for the last. It is several times what the sync of a commit costs, so more would gain little.
const WORK_MAX: Duration = Duration::from_millis(10);

/// Mutations in one transaction. It bounds how many a failure rolls back when each takes next to no time.
const MUTATIONS_MAX: usize = 256;

/// The mutations of one transaction.
pub(super) struct Batch {
    mutations: Vec<Box<dyn Mutation>>,
    has_clients: bool,
    has_background: bool,
    /// When the transaction began, by the monotonic clock.
    began: Duration,
    /// The index of the mutation whose error rolled back the whole transaction.
    culprit: Option<usize>,
}

impl Batch {
    /// A batch that begins with this mutation.
    pub(super) fn begin(lane: Lane, mutation: Box<dyn Mutation>, now: Duration) -> Self {
        let mut batch = Self {
            mutations: Vec::new(),
            has_clients: false,
            has_background: false,
            began: now,
            culprit: None,
        };
        batch.add(lane, mutation);
        batch
    }

    /// Whether further mutations must wait for the next transaction.
    pub(super) fn is_full(&self, now: Duration) -> bool {
        self.mutations.len() >= MUTATIONS_MAX || now.saturating_sub(self.began) >= WORK_MAX
    }

    /// How many more mutations fit, regardless of time.
    pub(super) fn places(&self) -> usize {
        MUTATIONS_MAX.saturating_sub(self.mutations.len())
    }

    /// Whether it holds a mutation of this lane.
    pub(super) fn has(&self, lane: Lane) -> bool {
        match lane {
            Lane::Client => self.has_clients,
            Lane::Background => self.has_background,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.mutations.len()
    }

    pub(super) fn add(&mut self, lane: Lane, mutation: Box<dyn Mutation>) {
        self.mutations.push(mutation);
        match lane {
            Lane::Client => self.has_clients = true,
            Lane::Background => self.has_background = true,
        }
    }

    /// The mutation that was added last.
    pub(super) fn last(&mut self) -> Option<&mut Box<dyn Mutation>> {
        self.mutations.last_mut()
    }

    /// Records that the mutation that was added last rolled back the whole transaction.
    pub(super) fn blame_last(&mut self) {
        self.culprit = self.mutations.len().checked_sub(1);
    }

    /// Replies to all callers once the outcome of the transaction is known.
    pub(super) fn answer(self, commit: &Result<(), StoreError>) {
        for (place, mutation) in self.mutations.into_iter().enumerate() {
            if self.culprit == Some(place) {
                mutation.answer_own();
            } else {
                mutation.answer(commit.clone());
            }
        }
    }
}

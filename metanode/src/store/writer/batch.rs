//! The mutations of one transaction, and when it has enough of them.

use std::time::Duration;

use super::lane::Lane;
use super::mutation::Mutation;
use crate::store::StoreError;

/// Time that mutations may take in one transaction. The last one may exceed it. It bounds how long the first one waits
/// for the last one, and is some times what the sync of a commit costs, so that there is little to gain by more.
const WORK_MAX: Duration = Duration::from_millis(10);

/// Mutations in one transaction: it bounds what a failure takes with it when each costs next to nothing.
const MUTATIONS_MAX: usize = 256;

/// The mutations of one transaction.
pub(super) struct Batch {
    mutations: Vec<Box<dyn Mutation>>,
    has_clients: bool,
    has_background: bool,
    /// When it began, by the monotonic clock.
    began: Duration,
    /// The mutation whose error took the whole transaction with it, by its place.
    culprit: Option<usize>,
}

impl Batch {
    /// One that begins with this mutation.
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

    /// Whether others have to wait for the next one.
    pub(super) fn is_full(&self, now: Duration) -> bool {
        self.mutations.len() >= MUTATIONS_MAX || now.saturating_sub(self.began) >= WORK_MAX
    }

    /// How many more it may have, whatever they cost.
    pub(super) fn places(&self) -> usize {
        MUTATIONS_MAX.saturating_sub(self.mutations.len())
    }

    /// Whether some of them are of this lane.
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

    /// The one that was added last.
    pub(super) fn last(&mut self) -> Option<&mut Box<dyn Mutation>> {
        self.mutations.last_mut()
    }

    /// The one that was added last made the transaction fail.
    pub(super) fn blame_last(&mut self) {
        self.culprit = self.mutations.len().checked_sub(1);
    }

    /// Answers all callers, after the transaction ended so.
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

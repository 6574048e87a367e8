//! The state of access control, by which gateways notice that access may have been taken away: see [`AccessEpoch`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_protocol::env::Env;
use cairn_protocol::metadata::AccessEpoch;

/// The current epoch. Cheap to clone; clones share it.
///
/// Whoever answers with data that a gateway decides with reads the epoch *before* the data. Whoever takes access away advances it
/// *after* the commit and before the answer. So a gateway never holds old data under the current epoch.
#[derive(Clone, Debug)]
pub(crate) struct AccessState(Arc<AtomicU64>);

impl AccessState {
    /// A state that begins at random, so that no gateway takes it for that of an earlier start: what changed in between is
    /// unknown to it.
    pub(crate) fn new(env: &Env) -> Self {
        Self(Arc::new(AtomicU64::new(u64::from_le_bytes(env.random_bytes()))))
    }

    /// The current epoch.
    pub(crate) fn current(&self) -> AccessEpoch {
        AccessEpoch(self.0.load(Ordering::SeqCst))
    }

    /// Begins another epoch.
    pub(crate) fn advance(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_advance_and_every_start_has_another_epoch() {
        let env = Env::system();
        let state = AccessState::new(&env);
        let before = state.current();
        assert_eq!(state.current(), before);
        state.clone().advance();
        assert_ne!(state.current(), before);
        assert_ne!(AccessState::new(&env).current(), before);
    }
}

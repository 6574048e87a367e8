//! A datanode's life: the only place where its state changes.

use std::time::Duration;

use cairn_protocol::admin::NodeState;

/// What can change a node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It registered.
    Registered,
    /// It sent a heartbeat.
    Heard,
    /// It has been silent for so long.
    Silent(Duration),
}

/// Silence that changes a node's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Live nodes become stale.
    pub(crate) stale_after: Duration,
    /// Stale nodes become dead.
    pub(crate) dead_after: Duration,
    /// Nobody is called dead who was not seen stale for so long: when it was this process that slept,
    /// it first hears who is there.
    pub(crate) warning: Duration,
}

/// The state after `signal`; one step at a time, so that nobody dies without having been stale.
///
/// A dead node does not come back by a heartbeat: its blocks were given up, so it must register,
/// and report what it holds.
pub(crate) fn next(state: NodeState, signal: Signal, patience: Patience) -> NodeState {
    match (state, signal) {
        (_, Signal::Registered) | (NodeState::Live | NodeState::Stale, Signal::Heard) => NodeState::Live,
        (NodeState::Live, Signal::Silent(silence)) if silence >= patience.stale_after => NodeState::Stale,
        (NodeState::Stale, Signal::Silent(silence)) if silence >= patience.dead_after => NodeState::Dead,
        (NodeState::Dead, Signal::Heard) | (_, Signal::Silent(_)) => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        stale_after: Duration::from_secs(10),
        dead_after: Duration::from_secs(300),
        warning: Duration::ZERO,
    };

    fn silent(state: NodeState, seconds: u64) -> NodeState {
        next(state, Signal::Silent(Duration::from_secs(seconds)), PATIENCE)
    }

    #[test]
    fn silence_makes_stale_then_dead() {
        assert_eq!(silent(NodeState::Live, 9), NodeState::Live);
        assert_eq!(silent(NodeState::Live, 10), NodeState::Stale);
        assert_eq!(silent(NodeState::Live, 1_000), NodeState::Stale);
        assert_eq!(silent(NodeState::Stale, 299), NodeState::Stale);
        assert_eq!(silent(NodeState::Stale, 300), NodeState::Dead);
        assert_eq!(silent(NodeState::Dead, 0), NodeState::Dead);
    }

    #[test]
    fn a_heartbeat_revives_the_stale_and_only_a_registration_the_dead() {
        assert_eq!(next(NodeState::Stale, Signal::Heard, PATIENCE), NodeState::Live);
        assert_eq!(next(NodeState::Dead, Signal::Heard, PATIENCE), NodeState::Dead);
        assert_eq!(next(NodeState::Dead, Signal::Registered, PATIENCE), NodeState::Live);
    }
}

//! The states of a datanode (live, stale, dead), and the function that decides which one follows.

use std::time::Duration;

use cairn_protocol::admin::NodeState;

/// An event that can change a node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It registered.
    Registered,
    /// It sent a heartbeat.
    Heartbeat,
    /// Its last heartbeat or registration was this long ago.
    NoContactFor(Duration),
}

/// How long a node may be without contact before its state changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// A live node becomes stale after this time without contact.
    pub(crate) stale_after: Duration,
    /// A stale node becomes dead after this time without contact.
    pub(crate) dead_after: Duration,
    /// A node is stale for at least this long before it is dead. If this process itself was suspended, the nodes have
    /// this time to send a heartbeat.
    pub(crate) warning: Duration,
}

/// The state after `signal`. A node is always stale before it is dead.
///
/// A heartbeat does not revive a dead node: its replicas no longer count, so it must register and report them again.
pub(crate) fn next(state: NodeState, signal: Signal, patience: Patience) -> NodeState {
    match (state, signal) {
        (_, Signal::Registered) | (NodeState::Live | NodeState::Stale, Signal::Heartbeat) => NodeState::Live,
        (NodeState::Live, Signal::NoContactFor(time)) if time >= patience.stale_after => NodeState::Stale,
        (NodeState::Stale, Signal::NoContactFor(time)) if time >= patience.dead_after => NodeState::Dead,
        (NodeState::Dead, Signal::Heartbeat) | (_, Signal::NoContactFor(_)) => state,
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

    fn no_contact_for(state: NodeState, seconds: u64) -> NodeState {
        next(state, Signal::NoContactFor(Duration::from_secs(seconds)), PATIENCE)
    }

    #[test]
    fn a_node_without_contact_becomes_stale_then_dead() {
        assert_eq!(no_contact_for(NodeState::Live, 9), NodeState::Live);
        assert_eq!(no_contact_for(NodeState::Live, 10), NodeState::Stale);
        assert_eq!(no_contact_for(NodeState::Live, 1_000), NodeState::Stale);
        assert_eq!(no_contact_for(NodeState::Stale, 299), NodeState::Stale);
        assert_eq!(no_contact_for(NodeState::Stale, 300), NodeState::Dead);
        assert_eq!(no_contact_for(NodeState::Dead, 0), NodeState::Dead);
    }

    #[test]
    fn a_heartbeat_revives_the_stale_and_only_a_registration_the_dead() {
        assert_eq!(next(NodeState::Stale, Signal::Heartbeat, PATIENCE), NodeState::Live);
        assert_eq!(next(NodeState::Dead, Signal::Heartbeat, PATIENCE), NodeState::Dead);
        assert_eq!(next(NodeState::Dead, Signal::Registered, PATIENCE), NodeState::Live);
    }
}

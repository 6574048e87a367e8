//! Nodes that failed a moment ago. Requests try them last for a while.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cairn_protocol::env::Env;
use cairn_protocol::id::NodeId;

/// How long a node that failed is tried last and gets no new blocks: a little longer than the metanode needs to notice
/// by itself.
const SUSPICION: Duration = Duration::from_secs(15);

/// Nodes that failed a moment ago at reading or at writing, so that not every request has to find out. The two are
/// separate: a disk that reads slowly may write fast, and a full disk can be read. A node that cannot be reached is a
/// suspect for both.
pub(super) struct Suspects {
    env: Env,
    until: Mutex<HashMap<NodeId, Duration>>,
}

impl Suspects {
    pub(super) fn new(env: Env) -> Self {
        Self { env, until: Mutex::default() }
    }

    pub(super) fn add(&self, node: NodeId) {
        let until = self.env.monotonic() + SUSPICION;
        self.until.lock().unwrap_or_else(PoisonError::into_inner).insert(node, until);
    }

    /// Removes a node, because it succeeded.
    pub(super) fn clear(&self, node: NodeId) {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    pub(super) fn contains(&self, node: NodeId) -> bool {
        let now = self.env.monotonic();
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(&node).is_some_and(|until| now < *until)
    }

    /// All suspects.
    pub(super) fn list(&self) -> Vec<NodeId> {
        let now = self.env.monotonic();
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, until| now < *until);
        until.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_protocol::env::Timestamp;

    #[test]
    fn suspicion_ends_with_time_or_with_success() {
        let (env, clock) = Env::manual(1, Timestamp(0));
        let suspects = Suspects::new(env.clone());
        let (a, b) = (NodeId(env.uuid_v4()), NodeId(env.uuid_v4()));
        suspects.add(a);
        suspects.add(b);
        suspects.clear(b);
        assert!(suspects.contains(a) && !suspects.contains(b));
        assert_eq!(suspects.list(), [a]);
        clock.advance(SUSPICION);
        assert!(!suspects.contains(a) && suspects.list().is_empty());
    }
}

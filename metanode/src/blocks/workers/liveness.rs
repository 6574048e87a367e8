use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_protocol::admin::NodeState;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;
use cairn_protocol::warn_peer;

use super::{Progress, Worker};
use crate::blocks::Inner;
use crate::store::StoreError;

/// Notices who is silent.
pub(super) struct Liveness {
    inner: Arc<Inner>,
}

/// How many times nodes are looked at within the time that makes one stale: it is noticed at the most
/// a tenth later than it should be.
const LOOKS_PER_STALE: u32 = 10;

impl Liveness {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    fn changed(&self, node: NodeId, state: NodeState) {
        match state {
            NodeState::Live => {}
            NodeState::Stale => {
                warn_peer!(%node, "a datanode is silent: it gets no new blocks");
                self.inner.events.publish(EventKind::NodeStale { node });
            }
            NodeState::Dead => {
                warn_peer!(%node, "a datanode is dead: its blocks are repaired from their other copies");
                {
                    let mut memory = self.inner.memory();
                    memory.copies.forget(node);
                    memory.scan(Some(node));
                }
                self.inner.nodes_changed();
                self.inner.events.publish(EventKind::NodeDead { node });
            }
        }
    }
}

#[async_trait]
impl Worker for Liveness {
    fn name(&self) -> &'static str {
        "liveness"
    }

    fn status(&self) -> String {
        let memory = self.inner.memory();
        let count = |state| memory.nodes.iter().filter(|(_, node)| node.state == state).count();
        let (live, stale, dead) = (count(NodeState::Live), count(NodeState::Stale), count(NodeState::Dead));
        format!("{live} live, {stale} stale, {dead} dead")
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        let changes = self.inner.memory().nodes.tick(self.inner.env.monotonic());
        for (node, state) in changes {
            self.changed(node, state);
        }
        Ok(Progress::Rest)
    }

    async fn wait(&mut self) {
        let interval = self.inner.config.stale_after / LOOKS_PER_STALE;
        self.inner.env.sleep(interval.max(Duration::from_millis(1))).await;
    }
}

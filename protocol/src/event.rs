//! Typed events: tests wait for them instead of sleeping, and `cairn admin events` shows them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::admin::{AdminState, LifecycleAction, WorkerName, WorkerSettings};
use crate::env::{Env, Timestamp};
use crate::id::{BlockId, NodeId, UploadId, VolumeId};
use crate::metadata::VersionName;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The number of the event in this part, from 1.
    pub sequence: u64,
    /// The time of the event.
    pub at: Timestamp,
    /// The kind of event, with its details.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event")]
#[expect(missing_docs, reason = "fields are the ids that the variant's own words name")]
pub enum EventKind {
    /// A datanode registered with the metanode (again, if its incarnation is above 1).
    NodeRegistered { node: NodeId, incarnation: u64 },
    /// A datanode sent its complete block report.
    NodeReported { node: NodeId, blocks: u64 },
    /// A datanode sent no heartbeat for the stale time. It gets no new blocks and is read last.
    NodeStale { node: NodeId },
    /// A datanode sent no heartbeat for the dead time. Its blocks are repaired from other replicas.
    NodeDead { node: NodeId },
    /// A datanode that was stale sent a heartbeat again.
    NodeLive { node: NodeId },
    /// An operator changed a datanode's administrative state.
    NodeAdminStateChanged { node: NodeId, admin_state: AdminState },
    /// A draining datanode has no blocks left: it can be stopped and removed.
    NodeDrained { node: NodeId },
    /// A datanode's maintenance ended by itself.
    MaintenanceExpired { node: NodeId },
    /// A hold began because of this datanode: the metanode's database may be older than the datanode's replicas.
    DeletionsHeld { node: NodeId },
    /// An operator released the hold: replicas that the database does not know are deleted.
    DeletionsReleased,
    /// A datanode was removed.
    NodeRemoved { node: NodeId },
    /// A move of a block from one datanode to another began: the copy was ordered.
    MoveStarted { block: BlockId, from: NodeId, to: NodeId },
    /// A move finished: the new replica is stored, and the old one is queued for deletion.
    BlockMoved { block: BlockId, from: NodeId, to: NodeId },
    /// All nodes in service are within the balance threshold, or no move would improve the balance.
    BalanceIdle,
    /// Objects were moved into a pack.
    ObjectsPacked { pack: BlockId, objects: u64 },
    /// A walk found no objects to move into packs, and none are being moved.
    PackIdle,
    /// An operator changed the settings of a background worker.
    WorkerChanged { worker: WorkerName, settings: WorkerSettings },
    /// A volume of a datanode failed and was taken out.
    VolumeFailed { node: NodeId, volume: VolumeId, reason: String },
    /// A block was found under-replicated.
    BlockUnderReplicated { block: BlockId, live: u32, wanted: u32 },
    /// A block was copied to `node` to restore its replication.
    BlockRepaired { block: BlockId, node: NodeId },
    /// The repair queue became empty: every block has its replication, as far as possible.
    RepairIdle,
    /// A replica does not match its checksum and was quarantined.
    ReplicaCorrupt { block: BlockId, node: NodeId },
    /// A replica was stored on this datanode.
    BlockStored { block: BlockId, node: NodeId },
    /// A replica was deleted from its node.
    BlockDeleted { block: BlockId, node: NodeId },
    /// Blocks to which nothing refers any more were queued for deletion.
    GarbageCollected { blocks: u64 },
    /// The deletion queue became empty.
    GarbageIdle,
    /// A grant was released or expired, and its block is deleted.
    GrantAbandoned { block: BlockId },
    /// A multipart upload was aborted, and its parts are deleted.
    UploadAborted { upload: UploadId },
    /// A multipart upload got no part for the expiry time, and was aborted.
    UploadExpired { bucket: String, key: String, upload: UploadId },
    /// A lifecycle rule was carried out on a version.
    LifecycleApplied {
        bucket: String,
        key: String,
        version: VersionName,
        action: LifecycleAction,
        rule: String,
    },
    /// A lifecycle rule aborted a multipart upload.
    LifecycleAborted { bucket: String, key: String, upload: UploadId, rule: String },
    /// All versions and uploads of a bucket have the due times of its present lifecycle rules.
    LifecycleWalked { bucket: String, looked_at: u64 },
    /// The scrubber read every block once.
    ScrubFinished { node: NodeId, blocks: u64, corrupt: u64 },
}

/// Number of past events that are kept for late subscribers: enough for minutes of a busy test cluster, and well below a
/// megabyte.
const HISTORY: usize = 4096;

/// Publishes events of one part. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventBus {
    env: Env,
    history: Arc<Mutex<EventHistory>>,
    sender: broadcast::Sender<Event>,
}

/// The latest events, for late subscribers.
#[derive(Debug, Default)]
struct EventHistory {
    /// The sequence number of the latest event; 0 before the first.
    last: u64,
    events: VecDeque<Event>,
}

impl EventHistory {
    fn after(&self, sequence: u64) -> Vec<Event> {
        self.events.iter().filter(|event| event.sequence > sequence).cloned().collect()
    }
}

impl EventBus {
    /// A bus without subscribers.
    pub fn new(env: Env) -> Self {
        Self { env, history: Arc::default(), sender: broadcast::Sender::new(HISTORY) }
    }

    /// Publishes an event without waiting.
    pub fn publish(&self, kind: EventKind) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.last += 1;
        let event = Event { sequence: history.last, at: self.env.now(), kind };
        if history.events.len() == HISTORY {
            history.events.pop_front();
        }
        history.events.push_back(event.clone());
        // The event is sent under the lock, so that subscribers get events in order. It is no error if there is none.
        let _ = self.sender.send(event);
    }

    /// All events after `sequence` that are still kept.
    pub fn past_after(&self, sequence: u64) -> Vec<Event> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).after(sequence)
    }

    /// All events after `sequence` that are still kept, and then new ones. A subscriber that is too slow misses events; the
    /// sequence numbers show the gap.
    pub fn subscribe_after(&self, sequence: u64) -> impl Stream<Item = Event> + Send + 'static {
        let (past, receiver) = {
            let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            (history.after(sequence), self.sender.subscribe())
        };
        let to_come = stream::unfold(receiver, |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((event, receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        stream::iter(past).chain(to_come)
    }

    /// Waits for the first event, past or new, that `wanted` accepts.
    pub async fn wait_for(&self, wanted: impl Fn(&EventKind) -> bool) -> Option<Event> {
        let mut events = Box::pin(self.subscribe_after(0));
        while let Some(event) = events.next().await {
            if wanted(&event.kind) {
                return Some(event);
            }
        }
        None
    }

    /// The sequence number of the latest event; 0 before the first.
    pub fn last_sequence(&self) -> u64 {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_late_subscriber_gets_past_events_and_then_new_ones() {
        let bus = EventBus::new(Env::manual(1, Timestamp(7)).0);
        bus.publish(EventKind::RepairIdle);
        bus.publish(EventKind::GarbageIdle);
        let mut events = Box::pin(bus.subscribe_after(1));
        bus.publish(EventKind::GarbageCollected { blocks: 2 });
        let seen: Vec<_> = [events.next().await, events.next().await].into_iter().flatten().collect();
        assert_eq!(seen.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(seen[1].kind, EventKind::GarbageCollected { blocks: 2 });
        assert_eq!(bus.past_after(1), seen);
    }

    #[test]
    fn an_event_is_one_flat_json_object() {
        let event = Event { sequence: 1, at: Timestamp(2), kind: EventKind::GarbageCollected { blocks: 3 } };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"sequence": 1, "at": 2, "event": "GarbageCollected", "blocks": 3})
        );
    }
}

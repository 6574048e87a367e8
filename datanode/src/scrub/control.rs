//! The interface between the scrubbers and the task that talks to the metanode: orders to the scrubbers, and their progress back.
//! It also decides when a round of the whole node has ended.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cairn_protocol::cluster::{ScrubOrder, ScrubProgress};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::VolumeId;
use tokio::sync::watch;

use crate::volume::{LastScrub, ScrubCursor};

/// The progress of the scrubber of one volume.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VolumeProgress {
    /// The cursor that is kept on the volume.
    pub(crate) cursor: ScrubCursor,
    /// Whether it has read in a round since the node started.
    pub(crate) began: bool,
    /// Whether it is reading. If not, it is paused, or waits for its next round.
    pub(crate) running: bool,
    /// Blocks to read in this round, as counted when the round began.
    pub(crate) blocks_in_all: u64,
    /// Regular rounds that it has finished since the node started.
    pub(crate) regular_rounds: u64,
}

/// What the end of a round of one volume means for the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeRound {
    /// Other volumes are still being read.
    Unfinished,
    /// It was the last volume: the order is done.
    Ordered,
    /// It was the last volume: a regular round of the node is done.
    Regular,
}

/// The latest order, and the progress of all scrubbers.
#[derive(Debug)]
pub(crate) struct ScrubControl {
    order: watch::Sender<ScrubOrder>,
    /// The last rounds in the node record. They count while there is no volume.
    remembered: LastScrub,
    volumes: Mutex<BTreeMap<VolumeId, VolumeProgress>>,
}

impl ScrubControl {
    /// Without an order; `remembered` is from the node record.
    pub(crate) fn new(remembered: LastScrub) -> Self {
        Self { order: watch::Sender::new(ScrubOrder::default()), remembered, volumes: Mutex::default() }
    }

    /// Passes an order of the metanode to the scrubbers.
    pub(crate) fn set_order(&self, order: ScrubOrder) {
        self.order.send_if_modified(|current| {
            let changed = *current != order;
            *current = order;
            changed
        });
    }

    pub(crate) fn orders(&self) -> watch::Receiver<ScrubOrder> {
        self.order.subscribe()
    }

    /// The last rounds in the node record, as of the start.
    pub(crate) fn remembered(&self) -> LastScrub {
        self.remembered
    }

    /// Adds a volume whose scrubber begins at this cursor.
    pub(crate) fn add(&self, volume: VolumeId, cursor: ScrubCursor) {
        self.lock().insert(volume, VolumeProgress { cursor, ..VolumeProgress::default() });
    }

    /// Removes a volume that has failed. The node's round no longer waits for it, so this may end the round.
    pub(crate) fn remove(&self, volume: VolumeId) -> NodeRound {
        self.after(|volumes| {
            volumes.remove(&volume);
        })
    }

    pub(crate) fn change(&self, volume: VolumeId, change: impl FnOnce(&mut VolumeProgress)) {
        if let Some(progress) = self.lock().get_mut(&volume) {
            change(progress);
        }
    }

    /// Notes that a round of a volume has ended with this cursor.
    pub(crate) fn finish(&self, volume: VolumeId, cursor: ScrubCursor) -> NodeRound {
        self.after(|volumes| {
            if let Some(progress) = volumes.get_mut(&volume) {
                progress.cursor = cursor;
                progress.running = false;
                progress.regular_rounds += u64::from(cursor.round == 0);
            }
        })
    }

    /// Applies a change to the volumes, and returns what it means for the node.
    fn after(&self, change: impl FnOnce(&mut ProgressByVolume)) -> NodeRound {
        let mut volumes = self.lock();
        let before = (finished_round(&volumes), regular_rounds(&volumes));
        change(&mut volumes);
        match (finished_round(&volumes), regular_rounds(&volumes)) {
            (round, _) if round > before.0 => NodeRound::Ordered,
            (_, own) if own > before.1 => NodeRound::Regular,
            _ => NodeRound::Unfinished,
        }
    }

    /// The last round that all volumes have finished.
    pub(crate) fn last_scrub(&self) -> LastScrub {
        let volumes = self.lock();
        if volumes.is_empty() {
            return self.remembered;
        }
        LastScrub { round: finished_round(&volumes), at: finished_at(&volumes) }
    }

    /// The progress of all volumes together.
    pub(crate) fn progress(&self) -> ScrubProgress {
        let LastScrub { round: finished_round, at: finished_at } = self.last_scrub();
        let volumes = self.lock();
        let sum = |number: fn(&VolumeProgress) -> u64| volumes.values().map(number).sum();
        ScrubProgress {
            round: volumes.values().map(shown_round).max().unwrap_or_default(),
            running: volumes.values().any(|volume| volume.running),
            blocks: sum(|volume| volume.cursor.blocks),
            bytes: sum(|volume| volume.cursor.bytes),
            blocks_in_all: sum(|volume| volume.blocks_in_all),
            corrupt: sum(|volume| volume.cursor.corrupt),
            finished_at,
            finished_round,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<VolumeId, VolumeProgress>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of the order that a volume's scrubber follows, or followed last in this process. A round that an earlier process
/// finished does not count.
fn shown_round(volume: &VolumeProgress) -> u64 {
    if volume.cursor.under_way || volume.began { volume.cursor.round } else { 0 }
}

type ProgressByVolume = BTreeMap<VolumeId, VolumeProgress>;

fn finished_round(volumes: &ProgressByVolume) -> u64 {
    volumes.values().map(|volume| volume.cursor.finished_round).min().unwrap_or_default()
}

fn regular_rounds(volumes: &ProgressByVolume) -> u64 {
    volumes.values().map(|volume| volume.regular_rounds).min().unwrap_or_default()
}

/// The time at which or after which every volume has finished a round; `None` while one has not finished any.
fn finished_at(volumes: &ProgressByVolume) -> Option<Timestamp> {
    volumes.values().map(|volume| volume.cursor.finished_at).min().flatten()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// When the last disk that was still being read failed, the node's round never ended: no event was published, and the node record
    /// did not have it.
    #[test]
    fn a_round_that_waits_for_a_volume_ends_when_the_volume_is_gone() {
        let control = ScrubControl::new(LastScrub::default());
        let volumes = [1, 2, 3].map(|n| VolumeId(Uuid::from_u128(n)));
        for volume in volumes {
            control.add(volume, ScrubCursor::default());
        }
        let ordered = ScrubCursor { round: 7, finished_round: 7, ..ScrubCursor::default() };
        assert_eq!(control.finish(volumes[0], ordered), NodeRound::Unfinished);
        assert_eq!(control.remove(volumes[1]), NodeRound::Unfinished);
        assert_eq!(control.remove(volumes[2]), NodeRound::Ordered);
        assert_eq!(control.last_scrub().round, 7);
        // A volume that has finished the round does not end it again when it is removed.
        control.add(volumes[1], ScrubCursor::default());
        assert_eq!(control.remove(volumes[0]), NodeRound::Unfinished);
    }

    #[test]
    fn an_own_round_that_waits_for_a_volume_ends_when_the_volume_is_gone() {
        let control = ScrubControl::new(LastScrub::default());
        let volumes = [1, 2].map(|n| VolumeId(Uuid::from_u128(n)));
        for volume in volumes {
            control.add(volume, ScrubCursor::default());
        }
        assert_eq!(control.finish(volumes[0], ScrubCursor::default()), NodeRound::Unfinished);
        assert_eq!(control.remove(volumes[1]), NodeRound::Regular);
    }
}

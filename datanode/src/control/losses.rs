//! Losses: the replicas on failed volumes and in quarantine, which are reported as corrupt.
//!
//! A disk may hold millions of replicas. They are reported in pages, each after the metanode has acknowledged the one before. They do
//! not go through the incremental report, because it drops its changes when there are too many: the node would register again, report
//! the losses again, and overflow the report again, for ever.
//!
//! The replicas of a failed volume are reported once per process. The metanode keeps a corrupt replica in its tables, because it may be
//! the last one of its block, until there are good ones and the corrupt one was deleted. Replicas in quarantine are reported with every
//! block report.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cairn_protocol::id::{BlockId, VolumeId};

use crate::volume::Volume;
use crate::volume::volumes::Volumes;

/// Which losses were reported since the process started.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// Volumes whose failure was published.
    published: HashSet<VolumeId>,
    /// How far the replicas of each failed volume were reported.
    volumes: HashMap<VolumeId, Progress>,
    /// Blocks in quarantine that are still to be reported in this incarnation, in any order.
    quarantined: Vec<BlockId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Up to and including this block.
    Through(BlockId),
    /// All replicas of the volume.
    Done,
}

/// The losses that one heartbeat reports.
#[derive(Debug, Default)]
pub(crate) struct LossesPage {
    pub(crate) blocks: Vec<BlockId>,
    of_volume: Option<(VolumeId, Progress)>,
    of_quarantine: usize,
}

impl LossesPage {
    /// Whether another page may follow.
    pub(crate) fn is_followed(&self) -> bool {
        self.of_volume.is_some() || self.of_quarantine > 0
    }
}

impl Losses {
    /// Begins a block report: all blocks in quarantine are reported again.
    pub(crate) fn begin_report(&mut self, quarantined: Vec<BlockId>) {
        self.quarantined = quarantined;
    }

    /// Notes that the failure of this volume is published. Returns false if it was before.
    pub(crate) fn publish(&mut self, volume: VolumeId) -> bool {
        self.published.insert(volume)
    }

    /// The next page of at most `limit` blocks. It comes again until it is [acknowledged](Self::acknowledged).
    pub(crate) fn next(&self, volumes: &Volumes, limit: usize) -> LossesPage {
        if limit == 0 {
            return LossesPage::default();
        }
        if !self.quarantined.is_empty() {
            let of_quarantine = self.quarantined.len().min(limit);
            let tail = &self.quarantined[self.quarantined.len() - of_quarantine..];
            // Blocks of which the node has a good replica by now are left out.
            let blocks = tail.iter().filter(|block| volumes.held(block).is_none()).copied().collect();
            return LossesPage { blocks, of_volume: None, of_quarantine };
        }
        let is_open = |volume: &&Arc<Volume>| {
            volume.failure().is_some() && self.volumes.get(&volume.id()) != Some(&Progress::Done)
        };
        let Some(volume) = volumes.volumes().find(is_open) else { return LossesPage::default() };
        let after = match self.volumes.get(&volume.id()) {
            Some(Progress::Through(block)) => Some(*block),
            Some(Progress::Done) | None => None,
        };
        let page = volume.page(after, limit);
        let progress = page.last().map_or(Progress::Done, |(last, _)| Progress::Through(*last));
        let only_here = page.into_iter().map(|(id, _)| id).filter(|id| volumes.held(id).is_none());
        LossesPage { blocks: only_here.collect(), of_volume: Some((volume.id(), progress)), of_quarantine: 0 }
    }

    /// Notes that the metanode has acknowledged `page`.
    pub(crate) fn acknowledged(&mut self, page: LossesPage) {
        self.quarantined.truncate(self.quarantined.len().saturating_sub(page.of_quarantine));
        self.volumes.extend(page.of_volume);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::test_support;

    /// A failed disk with more blocks than the incremental report holds overflowed it. The node registered again, dropped its record
    /// of what it had reported, and overflowed it again, for ever.
    #[test]
    fn the_replicas_of_a_failed_disk_are_reported_once_in_pages_however_many_they_are() {
        const BLOCKS: u16 = 300;
        let volumes = test_support::volumes_with_blocks(BLOCKS);
        let failed = volumes.volumes().nth(1).unwrap().clone();
        let lost: Vec<BlockId> = failed.page(None, usize::MAX).into_iter().map(|(id, _)| id).collect();
        assert!(lost.len() > 50);
        let mut losses = Losses::default();
        assert!(losses.next(&volumes, 10).blocks.is_empty());
        failed.give_up("for the test");
        let mut told = Vec::new();
        loop {
            let page = losses.next(&volumes, 10);
            assert!(page.blocks.len() <= 10);
            // A page that is not acknowledged comes again.
            assert_eq!(losses.next(&volumes, 10).blocks, page.blocks);
            if !page.is_followed() {
                break;
            }
            told.extend(page.blocks.clone());
            losses.acknowledged(page);
        }
        assert_eq!(told, lost);
        // They are not reported again after the next registration.
        losses.begin_report(Vec::new());
        assert!(!losses.next(&volumes, 10).is_followed());
    }

    #[test]
    fn replicas_in_quarantine_are_reported_in_pages_with_every_block_report() {
        let volumes = test_support::volumes_with_blocks(1);
        let quarantined: Vec<BlockId> = (1000..1100).map(test_support::id).collect();
        let mut losses = Losses::default();
        for _report in 0..2 {
            losses.begin_report(quarantined.clone());
            let mut told = Vec::new();
            loop {
                let page = losses.next(&volumes, 30);
                if !page.is_followed() {
                    break;
                }
                told.extend(page.blocks.clone());
                losses.acknowledged(page);
            }
            told.sort_unstable();
            assert_eq!(told, quarantined);
        }
    }
}

//! What is told of volumes that failed, and of blocks in quarantine: that their copies are bad.
//!
//! A disk may hold millions of blocks. They are told in pages, the next one when the metanode has heard the one before, and not
//! through the incremental report, which forgets when there is too much: a node whose losses overflow it would register anew, tell them
//! anew, and so on for ever.
//!
//! What is on a failed volume is told once per process: the metanode keeps the row of a bad copy, and with it what may be the
//! last copy of a block, until there are good ones and it has the bad one deleted. What is in quarantine is told with every
//! report.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cairn_protocol::id::{BlockId, VolumeId};

use crate::volume::Volume;
use crate::volume::volumes::Volumes;

/// What was told so far, for as long as the process lives.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// Volumes whose failure was published.
    published: HashSet<VolumeId>,
    /// Of each failed volume, how far it was told.
    volumes: HashMap<VolumeId, Progress>,
    /// Blocks in quarantine that are to be told in this incarnation, in any order.
    quarantined: Vec<BlockId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Up to this block, included.
    Through(BlockId),
    /// All.
    Done,
}

/// What the next heartbeat tells.
#[derive(Debug, Default)]
pub(crate) struct LossesPage {
    pub(crate) blocks: Vec<BlockId>,
    of_volume: Option<(VolumeId, Progress)>,
    of_quarantine: usize,
}

impl LossesPage {
    /// Whether there may be more.
    pub(crate) fn is_followed(&self) -> bool {
        self.of_volume.is_some() || self.of_quarantine > 0
    }
}

impl Losses {
    /// A report begins: what is in quarantine is told anew.
    pub(crate) fn begin_report(&mut self, quarantined: Vec<BlockId>) {
        self.quarantined = quarantined;
    }

    /// Whether the failure of this volume is news.
    pub(crate) fn publish(&mut self, volume: VolumeId) -> bool {
        self.published.insert(volume)
    }

    /// The next page of at most `limit` blocks. It comes again until [`told`](Self::told) follows.
    pub(crate) fn next(&self, volumes: &Volumes, limit: usize) -> LossesPage {
        if limit == 0 {
            return LossesPage::default();
        }
        if !self.quarantined.is_empty() {
            let of_quarantine = self.quarantined.len().min(limit);
            let tail = &self.quarantined[self.quarantined.len() - of_quarantine..];
            // Of some a good copy came since.
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

    /// The metanode has heard `page`.
    pub(crate) fn acknowledged(&mut self, page: LossesPage) {
        self.quarantined.truncate(self.quarantined.len().saturating_sub(page.of_quarantine));
        self.volumes.extend(page.of_volume);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::test_support;

    /// A failed disk with more blocks than the incremental report remembers overflowed it; the node registered anew, forgot what it
    /// had told, and overflowed it again, for ever.
    #[test]
    fn the_blocks_of_a_failed_disk_are_told_once_in_pages_however_many_they_are() {
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
            // One that was not heard comes again.
            assert_eq!(losses.next(&volumes, 10).blocks, page.blocks);
            if !page.is_followed() {
                break;
            }
            told.extend(page.blocks.clone());
            losses.acknowledged(page);
        }
        assert_eq!(told, lost);
        // Not again with the next registration.
        losses.begin_report(Vec::new());
        assert!(!losses.next(&volumes, 10).is_followed());
    }

    #[test]
    fn what_is_in_quarantine_is_told_in_pages_with_every_report() {
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

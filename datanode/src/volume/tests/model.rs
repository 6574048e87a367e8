//! A model of a volume: the possible states of each block after operations that succeeded, failed, or were cut off by a loss of
//! power.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use cairn_protocol::id::BlockId;
use futures_util::future::join_all;
use proptest::prelude::*;

use super::support::{content, id, put, read};
use crate::volume::disk::Disk;
use crate::volume::sim::SimDisk;
use crate::volume::{Volume, VolumeError};

#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Stores several blocks concurrently, so that they share a batch: (block, content, length).
    Put(Vec<(u16, u64, usize)>),
    Delete(Vec<u16>),
    /// Restores blocks from the trash.
    Restore(Vec<u16>),
    Compact,
    /// Deletes while all segments are compacted.
    CompactAndDelete(Vec<u16>),
    Checkpoint,
    LoseCheckpoint,
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let length = prop_oneof![3 => 1usize..3000, 1 => 8192usize..80_000];
    prop_oneof![
        8 => proptest::collection::vec((0u16..40, any::<u64>(), length), 1..6).prop_map(Op::Put),
        4 => proptest::collection::vec(0u16..40, 1..6).prop_map(Op::Delete),
        2 => proptest::collection::vec(0u16..40, 1..6).prop_map(Op::Restore),
        2 => Just(Op::Compact),
        2 => proptest::collection::vec(0u16..40, 1..6).prop_map(Op::CompactAndDelete),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::LoseCheckpoint),
    ]
}

/// The possible states of each block, and the blocks that must be in the trash.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// The possible states of a block: absent, or one of these contents. There are several after an operation that failed.
    possible: BTreeMap<BlockId, Vec<Option<Bytes>>>,
    has_trash: bool,
    /// Blocks whose deletion was acknowledged, so that they can be restored.
    restorable: BTreeMap<BlockId, Bytes>,
}

impl Model {
    /// A model of a volume with or without a trash.
    pub(crate) fn new(has_trash: bool) -> Self {
        Self { has_trash, ..Self::default() }
    }

    fn certainly(&self, id: &BlockId) -> Option<&Option<Bytes>> {
        match self.possible.get(id).map(Vec::as_slice) {
            None => Some(&None),
            Some([one]) => Some(one),
            Some(_) => None,
        }
    }

    pub(crate) fn check(&mut self, volume: &Volume) {
        let found: Vec<BlockId> = volume.page(None, usize::MAX).into_iter().map(|(id, _)| id).collect();
        for id in &found {
            assert!(self.possible.contains_key(id), "{id} was never written");
        }
        for (id, possible) in &mut self.possible {
            let actual = match read(volume, *id) {
                Ok(bytes) => Some(bytes),
                Err(VolumeError::NotFound(_)) => None,
                // Only a block that was never acknowledged may be torn.
                Err(VolumeError::Damaged { .. }) if possible.contains(&None) && possible.len() > 1 => None,
                Err(_) if volume.is_quarantined(id) && *possible == [None] => None,
                Err(error) => panic!("{id}: {error}"),
            };
            assert!(
                possible.contains(&actual),
                "{id} is {:?}, may be {:?}",
                actual.map(|b| b.len()),
                possible.iter().map(|p| p.as_ref().map(|b| b.len())).collect::<Vec<_>>()
            );
            *possible = vec![actual];
        }
        for (id, bytes) in std::mem::take(&mut self.restorable) {
            if self.possible.get(&id).is_some_and(|possible| *possible == [None]) {
                assert!(volume.restore(id).unwrap().is_some(), "{id} is not in the trash");
                assert!(read(volume, id).unwrap() == bytes, "{id} came back as something else");
                self.possible.insert(id, vec![Some(bytes)]);
            }
        }
    }

    pub(crate) async fn run(&mut self, volume: &Arc<Volume>, disk: &SimDisk, op: &Op) {
        match op {
            Op::Put(blocks) => {
                let mut fresh: BTreeMap<BlockId, Bytes> = BTreeMap::new();
                for (n, seed, length) in blocks {
                    // Blocks are immutable, so only absent ones are written.
                    if self.certainly(&id(*n)) == Some(&None) {
                        fresh.insert(id(*n), content(*seed, *length));
                    }
                }
                let puts = fresh.iter().map(|(id, bytes)| put(volume, *id, bytes));
                let results = join_all(puts).await;
                for ((id, bytes), result) in fresh.into_iter().zip(results) {
                    let after = if result.is_ok() { vec![Some(bytes)] } else { vec![None, Some(bytes)] };
                    self.possible.insert(id, after);
                    self.restorable.remove(&id);
                }
            }
            Op::Restore(blocks) => {
                for n in blocks {
                    let (at, id) = (volume.clone(), id(*n));
                    let was = self.certainly(&id).cloned();
                    match tokio::task::spawn_blocking(move || at.restore(id)).await.unwrap() {
                        Ok(Some(_)) if was == Some(None) => {
                            // A deletion that was not acknowledged may be durable nevertheless.
                            let back = read(volume, id).ok();
                            let known = self.restorable.remove(&id);
                            assert!(known.is_none() || back.is_none() || known == back, "{id}");
                            self.possible.insert(id, vec![known.or(back)]);
                        }
                        // Without power no block can be read. The block stays in the trash.
                        Ok(None) => {
                            assert!(!self.restorable.contains_key(&id) || volume.is_trashed(&id), "{id}")
                        }
                        // The state of the block is known after the restart.
                        Ok(Some(_)) | Err(_) => {
                            if let Some(bytes) = self.restorable.remove(&id) {
                                self.possible.entry(id).or_default().push(Some(bytes));
                            }
                        }
                    }
                }
            }
            Op::Delete(blocks) => self.delete(volume, blocks).await,
            Op::CompactAndDelete(blocks) => {
                let at = volume.clone();
                let compact =
                    tokio::task::spawn_blocking(move || while matches!(at.compact(), Ok(Some(_))) {});
                let ((), compacted) = tokio::join!(self.delete(volume, blocks), compact);
                compacted.unwrap();
            }
            Op::Compact => {
                let volume = volume.clone();
                let _ = tokio::task::spawn_blocking(move || volume.compact()).await.unwrap();
            }
            Op::Checkpoint => {
                let _ = volume.checkpoint();
            }
            Op::LoseCheckpoint => {
                let _ = disk.remove_file(&PathBuf::from("/data/checkpoint"));
            }
        }
    }

    async fn delete(&mut self, volume: &Volume, blocks: &[u16]) {
        let results = join_all(blocks.iter().map(|n| volume.delete(id(*n)))).await;
        for (n, result) in blocks.iter().zip(results) {
            let possible = self.possible.entry(id(*n)).or_insert_with(|| vec![None]);
            match result {
                Ok(_) => {
                    if let ([Some(bytes)], true) = (possible.as_slice(), self.has_trash) {
                        self.restorable.insert(id(*n), bytes.clone());
                    } else if *possible != [None] {
                        self.restorable.remove(&id(*n));
                    }
                    *possible = vec![None];
                }
                Err(_) => possible.push(None),
            }
        }
    }
}

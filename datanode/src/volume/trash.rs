//! The trash: deleted blocks can be brought back for a while.
//!
//! | a block | is kept in the trash as | is brought back by |
//! |---|---|---|
//! | in a dedicated segment | a file in `trash/`, whose name has the time of the deletion | a rename |
//! | in a shared segment | its record, and a tombstone with the time of the deletion | storing it again |
//!
//! Compaction moves records of the trash like live ones, until their time is over. The trash counts as free space: a writer that
//! finds no space empties it, the oldest blocks first (`empty_trash`). A block that is stored again leaves the trash.

use cairn_protocol::id::BlockId;

use super::ReplicaInfo;
use super::dedicated::DedicatedSegments;
use super::empty_trash::{discard, limit};
use super::entry::{Entry, Trashed};
use super::error::VolumeError;
use super::log::{Change, Log, SmallBlock};
use super::read::BlockReader;
use super::state::VolumeState;

/// Moves a block in a dedicated segment, which was removed from the index, into the trash. Durable when it returns. Blocks its
/// thread.
pub(crate) fn put(
    state: &VolumeState,
    dedicated: &DedicatedSegments,
    id: BlockId,
    trashed: Trashed,
) -> Result<(), VolumeError> {
    let is_kept = dedicated.throw_away(&id, &trashed).inspect_err(|error| {
        if matches!(error, VolumeError::Io { .. }) {
            state.index_mut().insert(id, trashed.entry);
        }
    })?;
    if !is_kept {
        return Ok(());
    }
    let older = state.index_mut().add_trash(id, trashed);
    if let Some(older) = older {
        discard(state, &id, &older);
    }
    limit(state);
    dedicated.sync_thrown_away(trashed.entry.place)
}

/// Brings a block back, if it is in the trash and matches its checksum. Durable when it returns. Blocks its thread.
pub(crate) fn restore(
    state: &VolumeState,
    dedicated: &DedicatedSegments,
    log: &Log,
    id: BlockId,
) -> Result<Option<ReplicaInfo>, VolumeError> {
    let Some(trashed) = state.index().trashed(&id) else { return Ok(None) };
    if !trashed.entry.place.is_dedicated() {
        let block = match read_shared(state, id, &trashed) {
            Ok(block) => block,
            Err(error) => return damaged(id, error),
        };
        log.submit(Change::Put { block, moved_from: None })?.wait()?;
        return Ok(Some(trashed.entry.into()));
    }
    // Removed from the trash first, so that emptying the trash cannot remove its file at the same time.
    if state.index_mut().take_trash(&id).is_none() {
        return Ok(None);
    }
    let back = verify(state, id, &trashed).and_then(|()| dedicated.bring_back(&id, &trashed));
    match back {
        Ok(true) => {
            let mut index = state.index_mut();
            index.since_checkpoint += trashed.entry.size();
            index.insert(id, trashed.entry);
            Ok(Some(trashed.entry.into()))
        }
        Ok(false) => Ok(None),
        Err(error) => {
            state.index_mut().add_trash(id, trashed);
            damaged(id, error)
        }
    }
}

/// Logs that a damaged block cannot be brought back. It stays in the trash until its time is over.
fn damaged(id: BlockId, error: VolumeError) -> Result<Option<ReplicaInfo>, VolumeError> {
    match error {
        VolumeError::Damaged { reason, .. } => {
            tracing::warn!(fault = "peer", block = %id, %reason, "a block in the trash is damaged and stays there");
            Ok(None)
        }
        error => Err(error),
    }
}

fn verify(state: &VolumeState, id: BlockId, trashed: &Trashed) -> Result<(), VolumeError> {
    BlockReader::open_at(state, id, trashed.entry, &state.trash_path(&id, trashed))?.verify()
}

/// Reads and verifies a block of the trash that is in a shared segment.
pub(crate) fn read_shared(
    state: &VolumeState,
    id: BlockId,
    trashed: &Trashed,
) -> Result<SmallBlock, VolumeError> {
    let Entry { length, crc, place: _ } = trashed.entry;
    let reader = BlockReader::open_at(state, id, trashed.entry, &state.trash_path(&id, trashed))?;
    let data = reader.read(0, reader.length())?;
    Ok(SmallBlock { id, length, crc, table: reader.table().encode(), data })
}

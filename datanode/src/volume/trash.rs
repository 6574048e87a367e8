//! The trash: what is deleted can be brought back for a while.
//!
//! | a block | lies in the trash as | comes back by |
//! |---|---|---|
//! | with a segment of its own | a file in `trash/`, whose name tells when it was deleted | a rename |
//! | in a shared segment | the record that it was, and a tombstone that tells when it was deleted | being stored again |
//!
//! Compaction carries the trash's records along until their time is over. The trash is counted as free: whoever finds no
//! space empties it, the oldest first. A block that is stored again is not in the trash any more.

use cairn_protocol::id::BlockId;

use super::ReplicaInfo;
use super::dedicated::DedicatedSegments;
use super::empty_trash::{discard, limit};
use super::entry::{Entry, Trashed};
use super::error::VolumeError;
use super::log::{Change, Log, SmallBlock};
use super::read::BlockReader;
use super::state::VolumeState;

/// What is read at once of a block that is verified, in bytes.
const PIECE: u64 = 1 << 20;

/// Puts a block with a segment of its own, which the index does not know any more, into the trash. Durable when it
/// returns. Blocks its thread.
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

/// Brings a block back, if it is in the trash and what its checksum says. Durable when it returns. Blocks its thread.
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
    // Out of the trash first, so that it is not emptied meanwhile.
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

/// A damaged block stays in the trash until its time is over; it cannot be brought back.
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
    let reader = BlockReader::open_at(state, id, trashed.entry, &state.trash_path(&id, trashed))?;
    let mut start = 0;
    while start < reader.length() {
        let end = (start + PIECE).min(reader.length());
        reader.read(start, end)?;
        start = end;
    }
    Ok(())
}

/// The block in a shared segment of the trash, verified.
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

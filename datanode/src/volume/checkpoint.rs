//! The checkpoint: the index as it was, so that a start need not read every segment again.
//!
//! ```text
//!  0        4     8            24        28       32                          end-16      end-4    end
//! ┌────────┬─────┬────────────┬─────────┬────────┬───────────────────────────┬──────────┬─┬────────┐
//! │"CaCk"  │ ver │ volume id  │ segment │ offset │ entries, 32 bytes each    │ count u64│0│ crc32c │
//! └────────┴─────┴────────────┴─────────┴────────┴───────────────────────────┴──────────┴─┴────────┘
//! entry: block id 16 │ length 4 │ crc 4 │ segment 4 │ offset 4
//! ```
//!
//! It is a cache, never the truth. It is written page by page while the volume is in use, so it is a blur of
//! states between its log position (taken first) and its end; replaying the log from that position brings it
//! into focus. For blocks with a segment of their own the directory tells which are there, and the checkpoint
//! only that their bytes are known to be durable.

use std::io;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use cairn_protocol::checksum::{combine, crc32c};
use cairn_protocol::id::{BlockId, VolumeId};

use super::disk::Disk;
use super::index::{Entry, Index, LogPosition};
use super::record::{Place, u32_at};

const MAGIC: [u8; 4] = *b"CaCk";
const VERSION: u32 = 1;
const HEADER: usize = 32;
const ENTRY: usize = 32;
const FOOTER: usize = 16;
/// Entries taken from the index under one lock, and written at once: half a megabyte.
const PAGE: usize = 16 * 1024;

/// The file's name in the volume's directory.
pub(crate) const NAME: &str = "checkpoint";
const NEW_NAME: &str = "checkpoint.new";

/// Writes the index to `directory/checkpoint`, replacing what was there only when the new one is durable.
/// Readers and writers of the index are held up for no longer than a page takes to copy.
pub(crate) fn write(
    disk: &dyn Disk,
    directory: &Path,
    volume: VolumeId,
    index: &RwLock<Index>,
) -> io::Result<u64> {
    let new = directory.join(NEW_NAME);
    match disk.remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = write_new(disk, &new, volume, index);
    if written.is_err() {
        // Its room may be what is missing. If it stays, the next one replaces it.
        let _ = disk.remove_file(&new);
    }
    let length = written?;
    disk.rename(&new, &directory.join(NAME))?;
    disk.sync_dir(directory)?;
    Ok(length)
}

fn write_new(disk: &dyn Disk, new: &Path, volume: VolumeId, index: &RwLock<Index>) -> io::Result<u64> {
    let file = disk.create_new(new)?;
    let position = index.read().unwrap_or_else(PoisonError::into_inner).position;
    let mut bytes = header(volume, position);
    let (mut offset, mut crc, mut count, mut after) = (0u64, 0, 0u64, None);
    loop {
        let page = index.read().unwrap_or_else(PoisonError::into_inner).page(after, PAGE);
        for (id, entry) in &page {
            encode_entry(&mut bytes, *id, entry);
        }
        count += page.len() as u64;
        after = page.last().map(|(id, _)| *id);
        if after.is_none() {
            bytes.extend_from_slice(&count.to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
        }
        crc = combine(crc, crc32c(&bytes), bytes.len() as u64);
        if after.is_none() {
            bytes.extend_from_slice(&crc.to_le_bytes());
        }
        file.write_all_at(&bytes, offset)?;
        offset += bytes.len() as u64;
        bytes.clear();
        if after.is_none() {
            break;
        }
    }
    file.sync()?;
    Ok(offset)
}

fn header(volume: VolumeId, position: LogPosition) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + PAGE * ENTRY + FOOTER);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(volume.as_bytes());
    bytes.extend_from_slice(&position.segment.to_le_bytes());
    bytes.extend_from_slice(&position.offset.to_le_bytes());
    bytes
}

fn encode_entry(bytes: &mut Vec<u8>, id: BlockId, entry: &Entry) {
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&entry.length.to_le_bytes());
    bytes.extend_from_slice(&entry.crc.to_le_bytes());
    bytes.extend_from_slice(&entry.place.encode());
}

/// Reads the checkpoint and gives its entries to `take`; returns where to begin to replay the log. `None` when there is no
/// whole checkpoint: then what was taken counts for nothing, and everything must be scanned.
pub(crate) fn read(
    disk: &dyn Disk,
    directory: &Path,
    volume: VolumeId,
    mut take: impl FnMut(BlockId, Entry),
) -> io::Result<Option<LogPosition>> {
    let file = match disk.open(&directory.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.length()?;
    let Some(entries) = length.checked_sub((HEADER + FOOTER) as u64) else { return Ok(None) };
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0)?;
    let known = header[..4] == MAGIC && u32_at(&header, 4) == VERSION && header[8..24] == *volume.as_bytes();
    if !known || !entries.is_multiple_of(ENTRY as u64) {
        return Ok(None);
    }
    let (mut crc, mut offset, end) = (crc32c(&header), HEADER as u64, HEADER as u64 + entries);
    let mut page = Vec::new();
    while offset < end {
        page.resize((end - offset).min((PAGE * ENTRY) as u64) as usize, 0);
        file.read_exact_at(&mut page, offset)?;
        crc = combine(crc, crc32c(&page), page.len() as u64);
        page.chunks_exact(ENTRY).filter_map(decode_entry).for_each(|(id, entry)| take(id, entry));
        offset += page.len() as u64;
    }
    let mut footer = [0; FOOTER];
    file.read_exact_at(&mut footer, end)?;
    crc = combine(crc, crc32c(&footer[..FOOTER - 4]), (FOOTER - 4) as u64);
    let is_whole = crc == u32_at(&footer, FOOTER - 4);
    Ok(is_whole.then(|| LogPosition { segment: u32_at(&header, 24), offset: u32_at(&header, 28) }))
}

fn decode_entry(bytes: &[u8]) -> Option<(BlockId, Entry)> {
    let id = BlockId::from_slice(&bytes[..16])?;
    let mut place = [0; 8];
    place.copy_from_slice(&bytes[24..32]);
    Some((id, Entry { length: u32_at(bytes, 16), crc: u32_at(bytes, 20), place: Place::decode(&place) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::disk::RealDisk;
    use uuid::Uuid;

    #[test]
    fn a_checkpoint_reads_back_and_a_damaged_one_is_as_good_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let volume = VolumeId(Uuid::from_u128(1));
        let mut index = Index::default();
        index.position = LogPosition { segment: 3, offset: 128 };
        let entries: Vec<(BlockId, Entry)> = (0..PAGE as u32 + 5)
            .map(|n| (BlockId(Uuid::from_u128(n.into())), n))
            .map(|(id, n)| (id, Entry { length: n + 1, crc: n, place: Place::shared(2, n * 64) }))
            .collect();
        for (id, entry) in &entries {
            index.insert(*id, *entry);
        }
        write(&RealDisk, directory.path(), volume, &RwLock::new(index)).unwrap();
        let mut found = Vec::new();
        let position =
            read(&RealDisk, directory.path(), volume, |id, entry| found.push((id, entry))).unwrap();
        assert_eq!(position, Some(LogPosition { segment: 3, offset: 128 }));
        assert_eq!(found, entries);

        let path = directory.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&RealDisk, directory.path(), volume, |_, _| {}).unwrap(), None);
    }
}

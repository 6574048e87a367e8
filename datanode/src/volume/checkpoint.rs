//! The checkpoint: the index on disk, so that a start need not read every segment.
//!
//! ```text
//!  0        4     8            24        28       32                          end-16      end-8         end-4    end
//! ┌────────┬─────┬────────────┬─────────┬────────┬─────────┬─────────────────┬──────────┬─────────────┬────────┐
//! │"CaCk"  │ ver │ volume id  │ segment │ offset │ entries │ trashed entries │ count u64│ trashed u32 │ crc32c │
//! └────────┴─────┴────────────┴─────────┴────────┴─────────┴─────────────────┴──────────┴─────────────┴────────┘
//! entry: block id 16 │ length 4 │ crc 4 │ segment 4 │ offset 4
//! trashed entry: an entry │ deleted at, milliseconds since the Unix epoch 8
//! ```
//!
//! Version 1 has no trashed entries, and zeros in the place of their number.
//! Blocks in dedicated segments are not among the trashed entries, because the names of their files have all that is needed.
//!
//! The checkpoint is a cache: a start works without it, only longer. It is written page by page while the volume is in use, so
//! its entries are from different moments. The log's position is taken before the first of them. Replaying the log from that
//! position makes up for everything that changed while the checkpoint was written. Which dedicated segments exist is read from
//! their directories; the checkpoint only says which of them are known to be durable.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use cairn_protocol::checksum::{Crc32c, combine, crc32c};
use cairn_protocol::id::{BlockId, VolumeId};

use super::disk::{Disk, DiskFile};
use super::entry::{Entry, LogPosition, Trashed};
use super::index::{Index, UNDER_ONE_LOCK, page};
use super::record::{Place, u32_at, u64_at};

const MAGIC: [u8; 4] = *b"CaCk";
const VERSION: u32 = 2;
/// The version that has no trashed entries.
const VERSION_WITHOUT_TRASH: u32 = 1;
const HEADER: usize = 32;
const ENTRY: usize = 32;
const TRASHED: usize = ENTRY + 8;
const FOOTER: usize = 16;
/// Entries that are written with one system call: half a megabyte.
const PAGE: usize = 16 * 1024;

/// The file's name in the volume's directory.
pub(crate) const NAME: &str = "checkpoint";
const NEW_NAME: &str = "checkpoint.new";

/// Writes the index to `directory/checkpoint`. The old checkpoint is replaced once the new one is durable. The index is locked
/// for one page at a time, so that its readers and writers do not wait for the disk.
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
        // The unfinished file may take up the space that is missing. If it cannot be removed, the next checkpoint replaces it.
        let _ = disk.remove_file(&new);
    }
    let length = written?;
    disk.rename(&new, &directory.join(NAME))?;
    disk.sync_dir(directory)?;
    Ok(length)
}

fn write_new(disk: &dyn Disk, new: &Path, volume: VolumeId, index: &RwLock<Index>) -> io::Result<u64> {
    let lock = || index.read().unwrap_or_else(PoisonError::into_inner);
    let position = lock().position;
    let mut output =
        Output { file: disk.create_new(new)?, bytes: header(volume, position), offset: 0, crc: 0 };
    let (mut count, mut trashed, mut after) = (0u64, 0u32, None);
    loop {
        let page = page(index, after, PAGE);
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        count += page.len() as u64;
        page.iter().for_each(|(id, entry)| encode_entry(&mut output.bytes, *id, entry));
        output.flush()?;
    }
    after = None;
    loop {
        let page = lock().trash_page(after, UNDER_ONE_LOCK);
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (id, Trashed { entry, deleted_at }) in
            page.iter().filter(|(_, one)| !one.entry.place.is_dedicated())
        {
            trashed += 1;
            encode_entry(&mut output.bytes, *id, entry);
            output.bytes.extend_from_slice(&deleted_at.to_le_bytes());
        }
        output.flush()?;
    }
    output.bytes.extend_from_slice(&count.to_le_bytes());
    output.bytes.extend_from_slice(&trashed.to_le_bytes());
    output.flush()?;
    let crc = output.crc;
    output.bytes.extend_from_slice(&crc.to_le_bytes());
    output.flush()?;
    output.file.sync()?;
    Ok(output.offset)
}

/// A file that is written from front to back.
struct Output {
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
    offset: u64,
    /// CRC32C of everything written so far.
    crc: Crc32c,
}

impl Output {
    fn flush(&mut self) -> io::Result<()> {
        self.crc = combine(self.crc, crc32c(&self.bytes), self.bytes.len() as u64);
        self.file.write_all_at(&self.bytes, self.offset)?;
        self.offset += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
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

/// What was read from a checkpoint beside its entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Where to begin to replay the log.
    pub(crate) position: LogPosition,
    /// Blocks of the trash that are in shared segments.
    pub(crate) trash: Vec<(BlockId, Trashed)>,
}

/// Reads the checkpoint and passes its entries to `take`. Returns `None` when there is no whole checkpoint; the caller must then
/// discard the entries that it took, and scan all segments.
pub(crate) fn read(
    disk: &dyn Disk,
    directory: &Path,
    volume: VolumeId,
    mut take: impl FnMut(BlockId, Entry),
) -> io::Result<Option<Checkpoint>> {
    let file = match disk.open(&directory.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.length()?;
    let Some(end) = length.checked_sub(FOOTER as u64).filter(|end| *end >= HEADER as u64) else {
        return Ok(None);
    };
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0)?;
    let mut footer = [0; FOOTER];
    file.read_exact_at(&mut footer, end)?;
    let version = u32_at(&header, 4);
    let known = header[..4] == MAGIC
        && [VERSION, VERSION_WITHOUT_TRASH].contains(&version)
        && header[8..24] == *volume.as_bytes();
    let trashed = u64::from(u32_at(&footer, 8)) * TRASHED as u64;
    let entries_end = (HEADER as u64).checked_add(u64_at(&footer, 0).saturating_mul(ENTRY as u64));
    let Some(entries_end) = entries_end.filter(|entries_end| entries_end.checked_add(trashed) == Some(end))
    else {
        return Ok(None);
    };
    if !known {
        return Ok(None);
    }
    let mut crc = crc32c(&header);
    let mut found = Checkpoint {
        position: LogPosition { segment: u32_at(&header, 24), offset: u32_at(&header, 28) },
        trash: Vec::new(),
    };
    pages(&*file, HEADER as u64..entries_end, ENTRY, &mut crc, |bytes| {
        if let Some((id, entry)) = decode_entry(bytes) {
            take(id, entry);
        }
    })?;
    pages(&*file, entries_end..end, TRASHED, &mut crc, |bytes| {
        let trashed = |(id, entry)| (id, Trashed { entry, deleted_at: u64_at(bytes, ENTRY) });
        found.trash.extend(decode_entry(bytes).map(trashed));
    })?;
    crc = combine(crc, crc32c(&footer[..FOOTER - 4]), (FOOTER - 4) as u64);
    Ok((crc == u32_at(&footer, FOOTER - 4)).then_some(found))
}

/// Reads records of `size` bytes, page by page.
fn pages(
    file: &dyn DiskFile,
    range: Range<u64>,
    size: usize,
    crc: &mut Crc32c,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let (mut offset, mut page) = (range.start, Vec::new());
    while offset < range.end {
        page.resize((range.end - offset).min((PAGE * size) as u64) as usize, 0);
        file.read_exact_at(&mut page, offset)?;
        *crc = combine(*crc, crc32c(&page), page.len() as u64);
        page.chunks_exact(size).for_each(&mut take);
        offset += page.len() as u64;
    }
    Ok(())
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
        let trashed = |at| Trashed { entry: Entry { length: 5, crc: 6, place: at }, deleted_at: 99 };
        let [gone, dedicated] = [1 << 100, 1 << 101].map(|n| BlockId(Uuid::from_u128(n)));
        index.add_trash(gone, trashed(Place::shared(3, 64)));
        index.add_trash(dedicated, trashed(Place::dedicated(3, 64)));
        write(&RealDisk, directory.path(), volume, &RwLock::new(index)).unwrap();
        let mut found = Vec::new();
        let checkpoint =
            read(&RealDisk, directory.path(), volume, |id, entry| found.push((id, entry))).unwrap();
        let position = LogPosition { segment: 3, offset: 128 };
        let trash = vec![(gone, trashed(Place::shared(3, 64)))];
        assert_eq!(checkpoint, Some(Checkpoint { position, trash }));
        assert_eq!(found, entries);

        let path = directory.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&RealDisk, directory.path(), volume, |_, _| {}).unwrap(), None);
    }
}

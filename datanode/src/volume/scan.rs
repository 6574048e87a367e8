//! Reading a shared segment from front to back, record by record. A stretch that is damaged or unreadable is searched for the
//! next valid header, so that it hides nothing behind it. Recovery and compaction read segments this way.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use cairn_protocol::id::VolumeId;

use super::disk::DiskFile;
use super::error::is_shortage;
use super::record::{Body, HEADER_SIZE, Header, Place, decode_table, first_bad_chunk};

/// How much is read at once: several of the largest records of a shared segment.
const WINDOW: usize = 4 << 20;

/// What is read at once after a read failed: one sector, so that a bad sector hides no more than itself.
const SECTOR: usize = 512;

/// Unreadable sectors of one segment after which the scan ends. A disk with more of them is broken, and each failed read may
/// take it seconds.
const GAPS_MAX: usize = 8192;

/// One record of a segment.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) header: Header,
    /// The record with its header, table and padding.
    pub(crate) bytes: &'a [u8],
    /// Whether a part of the record could not be read. `bytes` has zeros there.
    pub(crate) has_gaps: bool,
}

impl Record<'_> {
    /// The encoded chunk table and the data of a block; `None` when they do not match the checksums in the header.
    pub(crate) fn verified(&self) -> Option<(&[u8], &[u8])> {
        let Body::Block(body) = self.header.body else { return None };
        let data_offset = body.data_offset as usize;
        let encoded = self.bytes.get(HEADER_SIZE..data_offset)?;
        let data = self.bytes.get(data_offset..data_offset + body.length as usize)?;
        let table = decode_table(&body, encoded)?;
        first_bad_chunk(&table, 0, data).is_none().then_some((encoded, data))
    }

    /// Whether the record is whole and as written.
    pub(crate) fn is_intact(&self) -> bool {
        matches!(self.header.body, Body::Tombstone { .. } | Body::Mark) || self.verified().is_some()
    }

    /// Where the next record begins.
    pub(crate) fn end(&self) -> u32 {
        // The scanner yields records within a segment only, whose size fits 32 bits.
        self.header.place.offset() + self.bytes.len() as u32
    }
}

/// A scan of one segment.
#[derive(Debug)]
pub(crate) struct Scanner {
    file: Arc<dyn DiskFile>,
    volume: VolumeId,
    segment: u32,
    /// The offset of the next record.
    offset: u64,
    length: u64,
    window: Vec<u8>,
    window_start: u64,
    /// The offsets of sectors that could not be read.
    gaps: BTreeSet<u64>,
    /// The start of the stretch that is being skipped.
    skipping: Option<u64>,
    /// Stretches in which no record was found.
    skipped: Vec<Range<u64>>,
}

impl Scanner {
    /// Scans `segment` from `offset` to the end of its file.
    pub(crate) fn new(
        file: Arc<dyn DiskFile>,
        volume: VolumeId,
        segment: u32,
        offset: u32,
    ) -> io::Result<Self> {
        let length = file.length()?.min(u64::from(u32::MAX));
        let offset = u64::from(offset).max(HEADER_SIZE as u64);
        Ok(Self {
            file,
            volume,
            segment,
            offset,
            length,
            window: Vec::new(),
            window_start: 0,
            gaps: BTreeSet::new(),
            skipping: None,
            skipped: Vec::new(),
        })
    }

    /// The next record that has a valid header and ends within the file. Bytes in between are skipped: they are torn or damaged.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        let header_size = HEADER_SIZE as u64;
        while self.offset + header_size <= self.length {
            let place = Place::shared(self.segment, self.offset as u32);
            let mut bytes = [0; HEADER_SIZE];
            bytes.copy_from_slice(self.bytes(self.offset, HEADER_SIZE)?);
            let header = Header::decode(&bytes, self.volume, place);
            match header.filter(|header| self.offset + header.record_size() <= self.length) {
                Some(header) => {
                    let (start, size) = (self.offset, header.record_size());
                    self.end_skip(start);
                    self.offset += size;
                    // Gaps are only known after the record was read.
                    self.bytes(start, size as usize)?;
                    let has_gaps = self.has_gap(start..start + size);
                    let bytes = self.bytes(start, size as usize)?;
                    return Ok(Some(Record { header, bytes, has_gaps }));
                }
                None => {
                    self.skipping.get_or_insert(self.offset);
                    self.offset += header_size;
                }
            }
        }
        if self.offset < self.length {
            self.skipping.get_or_insert(self.offset);
        }
        self.end_skip(self.length);
        Ok(None)
    }

    /// The stretches so far in which no record was found.
    pub(crate) fn skipped(&self) -> &[Range<u64>] {
        &self.skipped
    }

    /// Whether anything could not be read so far.
    pub(crate) fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    fn end_skip(&mut self, end: u64) {
        self.skipped.extend(self.skipping.take().map(|start| start..end));
    }

    fn has_gap(&self, range: Range<u64>) -> bool {
        let from = range.start.saturating_sub(SECTOR as u64 - 1);
        self.gaps.range(from..range.end).next().is_some()
    }

    /// Goes on right behind the header of the record at `place`, which is not intact: its length may be wrong, and other records
    /// may lie inside of it.
    pub(crate) fn distrust(&mut self, place: Place) {
        self.offset = u64::from(place.offset()) + HEADER_SIZE as u64;
    }

    /// Reads the window sector by sector, with zeros in place of sectors that cannot be read.
    fn read_around(&mut self, offset: u64, error: io::Error) -> io::Result<()> {
        if is_shortage(&error) {
            return Err(error);
        }
        for (at, sector) in self.window.chunks_mut(SECTOR).enumerate() {
            let start = offset + (at * SECTOR) as u64;
            match self.file.read_exact_at(sector, start) {
                Ok(()) => {}
                Err(error) if is_shortage(&error) || self.gaps.len() >= GAPS_MAX => return Err(error),
                Err(_) => {
                    sector.fill(0);
                    self.gaps.insert(start);
                }
            }
        }
        Ok(())
    }

    fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + length as u64 > end {
            let size = (self.length - offset).min(WINDOW.max(length) as u64) as usize;
            self.window.resize(size, 0);
            self.window_start = offset;
            if let Err(error) = self.file.read_exact_at(&mut self.window, offset)
                && let Err(error) = self.read_around(offset, error)
            {
                self.window.clear();
                return Err(error);
            }
        }
        let from = (offset - self.window_start) as usize;
        Ok(&self.window[from..from + length])
    }
}

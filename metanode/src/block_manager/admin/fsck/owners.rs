//! Checks objects and parts, down to the replicas of their blocks.

use cairn_protocol::id::{BlockId, UploadId};
use cairn_protocol::metadata::ListId;

use super::Walk;
use super::cursor::{Open, Place};
use super::health::{Findings, assess};
use super::report::Victim;
use crate::store::StoreError;
use crate::store::fsck::{self, CheckedExtent, KnownBlock, ObjectPlace, OwnedExtent, PartPlace};

/// A part of an upload in progress.
#[derive(Clone, Debug)]
pub(super) struct PartKey {
    pub(super) key: String,
    pub(super) upload: Option<UploadId>,
    pub(super) number: u32,
}

/// An owner whose extents are being checked.
pub(super) struct Owner {
    id: [u8; 16],
    key: String,
    part: Option<u32>,
    /// Whether it was deleted or overwritten.
    retired: bool,
    length: u64,
    part_count: u32,
    list: Option<ListId>,
    /// Whether its row is what was written.
    is_sound: bool,
    /// The offset at which the next extent should begin.
    expected: u64,
}

impl Owner {
    fn victim<'a>(&'a self, bucket: &'a str) -> Victim<'a> {
        Victim { bucket, key: &self.key, retired: self.retired }
    }

    /// The offset at which the next extent should begin.
    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    pub(super) fn is(&self, id: [u8; 16]) -> bool {
        self.id == id
    }

    fn name(&self) -> String {
        if self.retired {
            return "a deleted or overwritten version, which may still be read,".to_owned();
        }
        self.part.map_or_else(|| "the object".to_owned(), |number| format!("part {number} of an upload"))
    }
}

impl Walk<'_> {
    pub(super) async fn objects(
        &mut self,
        bucket: String,
        (key, sequence): (String, Option<u64>),
        open: Option<Open>,
    ) -> Result<Option<Place>, StoreError> {
        let Some((id, name)) = fsck::bucket_from(self.reader, &bucket).await? else {
            return Ok(self.after_buckets());
        };
        if self.only.is_some_and(|only| only != name) {
            return Ok(self.after_buckets());
        }
        let resumed = name == bucket;
        let (key, sequence, open) = if resumed { (key, sequence, open) } else { (String::new(), None, None) };
        self.report.bucket(&name);
        let offset = open.map_or(0, |open| open.from);
        let place = ObjectPlace { key: &key, sequence, offset };
        let rows = fsck::objects(self.reader, id, place, self.rows.saturating_add(1)).await?;
        // If the version is gone, the rows begin with another one.
        let still = still_open(open, &rows, |row| row.key == key && row.sequence == sequence);
        Ok(Some(match self.owners(&name, &rows, still).await? {
            Some((next, open)) => {
                Place::Objects { bucket: name, key: next.key.clone(), sequence: next.sequence, open }
            }
            None => Place::parts_of(name),
        }))
    }

    pub(super) async fn parts(
        &mut self,
        bucket: String,
        from: PartKey,
        open: Option<Open>,
    ) -> Result<Option<Place>, StoreError> {
        // With a zero character appended, this is the first name after the bucket's.
        let next_bucket = self.only.is_none().then(|| Place::objects_of(format!("{bucket}\0")));
        let found = fsck::bucket_from(self.reader, &bucket).await?.filter(|(_, name)| *name == bucket);
        let Some((id, _)) = found else { return Ok(next_bucket) };
        let upload = from.upload.map(|upload| upload.as_bytes().to_vec()).unwrap_or_default();
        let at = |offset| PartPlace { key: &from.key, upload: &upload, number: from.number, offset };
        let is_resumed = |row: &OwnedExtent| {
            row.key == from.key && row.part.is_some_and(|(id, part)| id[..] == upload && part == from.number)
        };
        let max = self.rows.saturating_add(1);
        let mut rows = fsck::parts(self.reader, id, at(open.map_or(0, |open| open.from)), max).await?;
        let still = still_open(open, &rows, is_resumed);
        if open.is_some() && still.is_none() && rows.first().is_some_and(is_resumed) {
            rows = fsck::parts(self.reader, id, at(0), max).await?;
        }
        Ok(match self.owners(&bucket, &rows, still).await? {
            Some((next, open)) => {
                let (upload, number) = next.part.unzip();
                let upload = upload.and_then(|upload| UploadId::from_slice(&upload));
                let (key, number) = (next.key.clone(), number.unwrap_or(0));
                Some(Place::Parts { bucket, key, upload, number, open })
            }
            None => next_bucket,
        })
    }

    fn after_buckets(&self) -> Option<Place> {
        self.only.is_none().then_some(Place::Retired { owner: None, open: None })
    }

    /// Checks rows of owners, in order. Returns the row that the next page begins with, if there is one, and the owner
    /// that it is in the middle of.
    async fn owners<'r>(
        &mut self,
        bucket: &str,
        rows: &'r [OwnedExtent],
        open: Option<Open>,
    ) -> Result<Option<(&'r OwnedExtent, Option<Open>)>, StoreError> {
        let limit = usize::try_from(self.rows).unwrap_or(usize::MAX);
        let mut current: Option<Owner> = None;
        for (index, row) in rows.iter().enumerate() {
            let same = current.as_ref().is_some_and(|owner| row.owner == Some(owner.id));
            if index > 0 && (index >= limit || self.report.is_full()) {
                let from = row.extent.as_ref().map_or(0, |extent| extent.object_offset);
                let open = current.as_ref().filter(|_| same);
                let open = open.map(|owner| Open { owner: owner.id, from, expected: owner.expected });
                if let Some(owner) = current.filter(|_| !same) {
                    self.end(bucket, &owner).await?;
                }
                return Ok(Some((row, open)));
            }
            if !same {
                if let Some(owner) = current.take() {
                    self.end(bucket, &owner).await?;
                }
                current = begin(row, open, false);
            }
            if let (Some(owner), Some(extent)) = (current.as_mut(), &row.extent) {
                self.extent(bucket, owner, extent);
            }
        }
        if let Some(owner) = current {
            self.end(bucket, &owner).await?;
        }
        Ok(None)
    }

    /// Checks an extent and its block.
    pub(super) fn extent(&mut self, bucket: &str, owner: &mut Owner, extent: &CheckedExtent) {
        let CheckedExtent { object_offset, block_offset, length, block, .. } = *extent;
        let victim = owner.victim(bucket);
        if object_offset != owner.expected {
            let what = format!(
                "the bytes of {} from {} to {object_offset} are in no block, or in two",
                owner.name(),
                owner.expected
            );
            self.report.broken_object(victim, Some(block), &what);
        }
        if !extent.is_sound {
            let what = format!("an entry of the extent list of {} does not match its checksum", owner.name());
            self.report.broken_object(victim, Some(block), &what);
        }
        match &extent.known {
            None => {
                let what = format!("{} refers to block {block}, which does not exist", owner.name());
                self.report.broken_object(victim, Some(block), &what);
            }
            Some(known) => {
                if length == 0 || block_offset.saturating_add(length) > known.length {
                    let what = format!("{} refers to bytes that block {block} does not have", owner.name());
                    self.report.broken_object(victim, Some(block), &what);
                }
                let findings = self.assess(extent, known);
                self.report.block(self.view, victim, extent, known, findings);
            }
        }
        owner.expected = object_offset.saturating_add(length);
    }

    fn assess(&self, extent: &CheckedExtent, known: &KnownBlock) -> Findings {
        let findings = assess(self.view, known.length, known.replication, &extent.holders);
        Findings { under_replicated: findings.under_replicated && !self.is_young(extent.block), ..findings }
    }

    /// Whether replicas of the block may still be on their way.
    fn is_young(&self, block: BlockId) -> bool {
        block
            .created_at_ms()
            .is_some_and(|at| cairn_protocol::env::Timestamp(at).after(self.grace) > self.now)
    }

    /// Checks an owner as a whole, after its last extent.
    pub(super) async fn end(&mut self, bucket: &str, owner: &Owner) -> Result<(), StoreError> {
        if !owner.retired {
            let health = self.report.bucket(bucket);
            health.objects += 1;
            health.bytes = health.bytes.saturating_add(owner.length);
        }
        if !owner.is_sound {
            let what = format!("the row of {} does not match its checksum", owner.name());
            self.report.broken_object(owner.victim(bucket), None, &what);
        }
        if owner.expected != owner.length {
            let what =
                format!("{} has {} bytes, and its blocks {}", owner.name(), owner.length, owner.expected);
            self.report.broken_object(owner.victim(bucket), None, &what);
        }
        if owner.part_count > 0 {
            let (parts, bytes) = fsck::version_parts(self.reader, owner.list).await?;
            if (parts, bytes) != (owner.part_count, owner.length) {
                let what = format!(
                    "the object was made from {} parts, and {parts} of {bytes} bytes are known",
                    owner.part_count
                );
                self.report.broken_object(owner.victim(bucket), None, &what);
            }
        }
        Ok(())
    }
}

/// The owner that the last page ended in, if the first row still belongs to it.
fn still_open(
    open: Option<Open>,
    rows: &[OwnedExtent],
    is_resumed: impl Fn(&OwnedExtent) -> bool,
) -> Option<Open> {
    let first = rows.first()?;
    open.filter(|open| is_resumed(first) && first.owner == Some(open.owner))
}

pub(super) fn begin(row: &OwnedExtent, open: Option<Open>, retired: bool) -> Option<Owner> {
    let id = row.owner?;
    let resumed = open.filter(|open| open.owner == id);
    Some(Owner {
        id,
        key: row.key.clone(),
        part: row.part.map(|(_, number)| number),
        retired,
        length: row.length,
        part_count: row.part_count,
        list: row.list,
        is_sound: row.is_sound,
        expected: resumed.map_or(0, |open| open.expected),
    })
}

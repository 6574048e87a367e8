//! Checks what belongs to no object: blocks without references, replicas without a block, counters, and the queues of what is
//! to be removed. Also computes the progress of the walk.

use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::ListId;

use super::cursor::Place;
use super::{COUNTED_PER_PAGE, Walk};
use crate::store::counters::{self, Counter};
use crate::store::nodes::NodeOrdinal;
use crate::store::{StoreError, fsck};

/// The progress of the walk, in thousandths, at which each stage begins. Objects are most of the work.
const RETIRED_FROM: u32 = 600;
const BLOCKS_FROM: u32 = 610;
const REPLICAS_FROM: u32 = 850;
const QUEUES_FROM: u32 = 990;

/// Blocks or lists whose references a page counts, for each row of other pages. Each such page passes over all versions, parts and
/// entries once, so few large pages are cheaper than many small ones.
const COUNTED_AT_ONCE: u32 = 100;

/// The progress within a bucket at which its uploads begin.
const PARTS_FROM: u32 = 900;

impl Walk<'_> {
    pub(super) async fn blocks(&mut self, after: Option<BlockId>) -> Result<Place, StoreError> {
        let found = fsck::blocks(self.reader, after, self.rows.saturating_mul(COUNTED_AT_ONCE)).await?;
        for found in &found {
            if found.rows == 0 {
                self.report.orphaned_block(found.target);
            } else if found.refs != found.rows {
                self.report.wrong_block_references(found.target, found.refs, found.rows);
            }
            if self.report.is_full() {
                return Ok(Place::Blocks { after: Some(found.target) });
            }
        }
        Ok(match found.last() {
            Some(last) => Place::Blocks { after: Some(last.target) },
            None => Place::Lists { after: None },
        })
    }

    pub(super) async fn lists(&mut self, after: Option<ListId>) -> Result<Place, StoreError> {
        let found = fsck::lists(self.reader, after, self.rows.saturating_mul(COUNTED_AT_ONCE)).await?;
        for found in &found {
            // A list that counts no references is being removed.
            if found.rows == 0 && found.refs > 0 {
                self.report.orphaned_list(found.target);
            } else if found.refs != found.rows {
                self.report.wrong_list_references(found.target, found.refs, found.rows);
            }
            if self.report.is_full() {
                return Ok(Place::Lists { after: Some(found.target) });
            }
        }
        Ok(match found.last() {
            Some(last) => Place::Lists { after: Some(last.target) },
            None => Place::Replicas { after: None },
        })
    }

    pub(super) async fn replicas(
        &mut self,
        after: Option<(BlockId, NodeOrdinal)>,
    ) -> Result<Place, StoreError> {
        let found = fsck::replicas(self.reader, after, self.rows).await?;
        for found in &found {
            if !found.has_block || found.node.is_none() {
                self.report.orphaned_replica(found);
            }
            if self.report.is_full() {
                return Ok(Place::Replicas { after: Some((found.block, found.ordinal)) });
            }
        }
        Ok(match found.last() {
            Some(last) => Place::Replicas { after: Some((last.block, last.ordinal)) },
            None => Place::Counters { after: None },
        })
    }

    /// A page counts at least one counter whole: it is as long as the node with the most replicas, or the table of blocks.
    pub(super) async fn counters(&mut self, after: Option<Counter>) -> Result<Place, StoreError> {
        let mut rows = 0u64;
        for counter in counters::all(self.reader).await? {
            if after.is_some_and(|after| counter <= after) {
                continue;
            }
            let compared = counters::compare(self.reader, counter).await?;
            if !compared.is_right() {
                self.report.wrong_counter(compared);
            }
            rows = rows.saturating_add(compared.counted.things);
            if rows >= u64::from(COUNTED_PER_PAGE) || self.report.is_full() {
                return Ok(Place::Counters { after: Some(counter) });
            }
        }
        Ok(Place::Deletions { after: None })
    }

    pub(super) async fn deletions(
        &mut self,
        after: Option<(NodeOrdinal, BlockId)>,
    ) -> Result<Place, StoreError> {
        let (counted, last) = fsck::count_deletions(self.reader, after, COUNTED_PER_PAGE).await?;
        self.report.page.totals.deletions_queued += counted;
        Ok(match last {
            Some(last) => Place::Deletions { after: Some(last) },
            None => Place::Garbage { after: None },
        })
    }

    pub(super) async fn garbage(&mut self, after: Option<[u8; 16]>) -> Result<Option<Place>, StoreError> {
        let (counted, last) = fsck::count_garbage(self.reader, after, COUNTED_PER_PAGE).await?;
        self.report.page.totals.garbage_queued += counted;
        if last.is_none() {
            self.report.page.totals.deleted_buckets = fsck::count_deleted_buckets(self.reader).await?;
        }
        Ok(last.map(|last| Place::Garbage { after: Some(last) }))
    }

    /// The progress of the walk at `place`, in thousandths.
    pub(super) async fn progress(&mut self, place: &Place) -> Result<u32, StoreError> {
        let whole = if self.only.is_some() { 1_000 } else { RETIRED_FROM };
        Ok(match place {
            Place::Objects { bucket, key, .. } => {
                let within = self.within_bucket(bucket, key).await?;
                self.among_buckets(bucket, part_of(within, PARTS_FROM), whole).await?
            }
            Place::Parts { bucket, .. } => self.among_buckets(bucket, PARTS_FROM, whole).await?,
            Place::Retired { owner, .. } => {
                RETIRED_FROM + part_of(among_garbage(*owner), BLOCKS_FROM - RETIRED_FROM)
            }
            Place::Blocks { after } => {
                BLOCKS_FROM + part_of(self.among_blocks(*after).await?, REPLICAS_FROM - BLOCKS_FROM)
            }
            Place::Lists { .. } => REPLICAS_FROM,
            Place::Replicas { after } => {
                let after = after.map(|(block, _)| block);
                REPLICAS_FROM + part_of(self.among_blocks(after).await?, QUEUES_FROM - REPLICAS_FROM)
            }
            Place::Counters { .. } | Place::Deletions { .. } | Place::Garbage { .. } => QUEUES_FROM,
        })
    }

    async fn within_bucket(&mut self, bucket: &str, key: &str) -> Result<u32, StoreError> {
        if key.is_empty() {
            return Ok(0);
        }
        let Some((id, _)) = fsck::bucket_from(self.reader, bucket).await?.filter(|(_, name)| name == bucket)
        else {
            return Ok(0);
        };
        let bounds = fsck::key_bounds(self.reader, id).await?;
        Ok(bounds.map_or(0, |(low, high)| position(&low, &high, key.as_bytes())))
    }

    /// The progress among all buckets, given the progress `within` this one, as thousandths of `whole`.
    async fn among_buckets(&mut self, bucket: &str, within: u32, whole: u32) -> Result<u32, StoreError> {
        if self.only.is_some() {
            return Ok(within);
        }
        let (before, all) = fsck::bucket_ranks(self.reader, bucket).await?;
        let behind = before.saturating_mul(1_000).saturating_add(u64::from(within)) / all.max(1);
        Ok(part_of(u32::try_from(behind).unwrap_or(1_000).min(1_000), whole))
    }

    async fn among_blocks(&mut self, after: Option<BlockId>) -> Result<u32, StoreError> {
        let (Some(after), Some((low, high))) = (after, fsck::block_bounds(self.reader).await?) else {
            return Ok(0);
        };
        Ok(position(&low, &high, after.as_bytes()))
    }
}

/// The share of the garbage before this owner, in thousandths, as if ids were spread evenly over all values. They are
/// not, because ids begin with the time at which they were made, so this is a rough guess.
fn among_garbage(owner: Option<[u8; 16]>) -> u32 {
    owner.map_or(0, |owner| position(&[0; 16], &[0xff; 16], &owner))
}

fn part_of(permille: u32, whole: u32) -> u32 {
    permille.min(1_000) * whole / 1_000
}

/// The position of `at` between two byte strings, in thousandths, as if strings were spread evenly between them.
fn position(low: &[u8], high: &[u8], at: &[u8]) -> u32 {
    let shared = low.iter().zip(high).take_while(|(a, b)| a == b).count();
    // The eight bytes after the common prefix.
    let value = |bytes: &[u8]| {
        (shared..shared + 8)
            .fold(0u64, |value, index| value << 8 | u64::from(bytes.get(index).copied().unwrap_or(0)))
    };
    if at <= low {
        return 0;
    }
    if at >= high {
        return 1_000;
    }
    let (low, high, at) = (value(low), value(high), value(at));
    let behind = u128::from(at.saturating_sub(low)) * 1_000 / u128::from(high.saturating_sub(low).max(1));
    u32::try_from(behind).unwrap_or(1_000).min(1_000)
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn a_place_between_two_keys_is_estimated_by_the_bytes_after_their_common_prefix() {
        assert_eq!(position(b"logs/a", b"logs/c", b"logs/b"), 500);
        assert_eq!(position(b"a", b"b", b"a"), 0);
        assert_eq!(position(b"a", b"b", b"b"), 1_000);
        assert_eq!(position(b"a", b"a", b"zz"), 1_000);
        assert_eq!(position(b"", b"\xff\xff", b"\x80"), 500);
    }
}

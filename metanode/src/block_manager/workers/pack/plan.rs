//! Which objects are worth moving, and how they lie in a pack. Pure functions: no clock, no database.

use cairn_protocol::checksum::{Crc32c, combine};
use cairn_protocol::cluster::PACK_PIECE_MAX;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;

use crate::block_manager::commit::SMALL_BLOCK;
use crate::block_manager::soft_state::Amount;
use crate::store::packs::Member;

/// The most objects of a pack. It bounds the command to make it, and the memory of the plan.
pub(super) const MEMBERS_MAX: usize = 8_192;

/// The CRC32C of a member's bytes, if it is worth moving: it is old enough, and in a small block of its own or of few, or in a pack
/// of which less than half is alive.
pub(super) fn wanted(member: &Member, written_before: Timestamp) -> Option<Crc32c> {
    let source = &member.source;
    let is_whole = (member.offset, member.length) == (0, source.length);
    let crc32c = member.crc32c.or_else(|| is_whole.then_some(source.crc32c))?;
    let end = member.offset.checked_add(member.length)?;
    let is_sound = member.length > 0 && end <= source.length && member.length <= PACK_PIECE_MAX;
    if !is_sound || member.modified_at > written_before {
        return None;
    }
    let is_sparse = source.live.is_some_and(|live| live.saturating_mul(2) < source.length);
    // Copies of one object share its block. Each would get bytes of its own.
    // A pack is done, however short it is: that of many very small objects is short.
    let is_small = source.live.is_none() && source.length < SMALL_BLOCK && !(is_whole && source.refs > 1);
    (is_small || is_sparse).then_some(crc32c)
}

impl Amount {
    /// Whether so much makes a pack of `bytes`.
    pub(super) fn makes_pack(self, bytes: u64) -> bool {
        self.bytes >= bytes || self.objects >= MEMBERS_MAX as u64
    }
}

/// Objects that may become one pack.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: Vec<(Member, Crc32c)>,
    bytes: u64,
}

/// A run of bytes of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) block: BlockId,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc32c: Crc32c,
}

/// A member, and where its bytes will be.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) member: Member,
    pub(super) offset: u64,
    pub(super) crc32c: Crc32c,
}

/// A pack that is to be made.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) members: Vec<Placed>,
    pub(super) runs: Vec<Run>,
    pub(super) length: u64,
    pub(super) crc32c: Crc32c,
}

impl Group {
    pub(super) fn add(&mut self, member: Member, crc32c: Crc32c) {
        self.bytes += member.length;
        self.members.push((member, crc32c));
    }

    /// Whether it makes a pack of `bytes`.
    pub(super) fn is_full(&self, bytes: u64) -> bool {
        self.amount().makes_pack(bytes)
    }

    pub(super) fn amount(&self) -> Amount {
        Amount { objects: self.members.len() as u64, bytes: self.bytes }
    }

    /// The blocks that it would move objects out of.
    pub(super) fn sources(&self) -> std::collections::BTreeSet<BlockId> {
        self.members.iter().map(|(member, _)| member.block).collect()
    }

    /// Puts the objects one after the other, in the order in which they lie in their blocks, so that neighbours are read at once.
    /// Those of blocks for which `is_there` is false are left out. Objects with the same bytes share them.
    pub(super) fn plan(mut self, is_there: impl Fn(BlockId) -> bool) -> Plan {
        self.members.retain(|(member, _)| is_there(member.block));
        self.members.sort_by_key(|(member, _)| (member.block, member.offset, member.length));
        let mut plan = Plan::default();
        let mut last: Option<(BlockId, u64, u64, Crc32c)> = None;
        for (member, crc32c) in self.members {
            let bytes = (member.block, member.offset, member.length, crc32c);
            let offset = if last == Some(bytes) {
                plan.length - member.length
            } else {
                plan.append(Run { block: member.block, offset: member.offset, length: member.length, crc32c })
            };
            last = Some(bytes);
            plan.members.push(Placed { member, offset, crc32c });
        }
        plan
    }
}

impl Plan {
    /// Appends bytes, and returns their offset.
    fn append(&mut self, next: Run) -> u64 {
        let offset = self.length;
        self.length += next.length;
        self.crc32c = combine(self.crc32c, next.crc32c, next.length);
        match self.runs.last_mut() {
            Some(run)
                if run.block == next.block
                    && run.offset + run.length == next.offset
                    && run.length + next.length <= PACK_PIECE_MAX =>
            {
                run.crc32c = combine(run.crc32c, next.crc32c, next.length);
                run.length += next.length;
            }
            _ => self.runs.push(next),
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::checksum::crc32c;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::store::packs::Source;

    fn block(number: u128) -> BlockId {
        BlockId(Uuid::from_u128(number))
    }

    /// A member of a block of 1,000 bytes.
    fn member(number: u128, offset: u64, length: u64) -> Member {
        let source = Source { length: 1_000, crc32c: 9, replication: 3, refs: 1, live: None };
        Member {
            bucket: crate::store::tests::any_bucket(),
            key: format!("{number}/{offset}"),
            sequence: 1,
            length,
            modified_at: Timestamp(100),
            block: block(number),
            offset,
            crc32c: Some(7),
            source,
        }
    }

    #[test]
    fn what_is_young_large_shared_or_of_unknown_bytes_stays() {
        let now = Timestamp(100);
        let good = member(1, 10, 20);
        assert_eq!(wanted(&good, now), Some(7));
        assert_eq!(wanted(&good, Timestamp(99)), None, "too young");
        let of = |change: fn(&mut Member)| {
            let mut changed = good.clone();
            change(&mut changed);
            wanted(&changed, now)
        };
        assert_eq!(of(|member| member.crc32c = None), None);
        assert_eq!(of(|member| member.length = 0), None);
        assert_eq!(of(|member| member.offset = 990), None, "beyond the block");
        assert_eq!(of(|member| member.offset = u64::MAX), None);
        assert_eq!(of(|member| member.source.length = SMALL_BLOCK), None);
        // All of a block: its checksum is the block's, and other references to it are copies.
        let whole = Member { crc32c: None, offset: 0, length: 1_000, ..good.clone() };
        assert_eq!(wanted(&whole, now), Some(9));
        assert_eq!(wanted(&Member { source: Source { refs: 2, ..whole.source }, ..whole }, now), None);
    }

    #[test]
    fn a_pack_is_packed_again_when_less_than_half_of_it_is_alive() {
        let pack = |live| {
            let source = Source { length: 8 << 20, live: Some(live), ..member(1, 0, 1).source };
            wanted(&Member { source, ..member(1, 10, 20) }, Timestamp(100)).is_some()
        };
        assert!(!pack(4 << 20) && pack((4 << 20) - 1));
    }

    /// A pack of 8,192 very small objects is full, and shorter than what counts as a small block. It was packed again by each walk.
    #[test]
    fn a_short_pack_is_not_packed_again_while_it_is_alive() {
        let source = Source { length: 8_192 * 100, live: Some(8_192 * 100), ..member(1, 0, 1).source };
        assert_eq!(wanted(&Member { source, ..member(1, 10, 20) }, Timestamp(100)), None);
    }

    proptest! {
        #[test]
        fn each_member_finds_its_bytes_in_the_pack(
            places in prop::collection::vec((0u128..4, 0usize..100, 1usize..40), 1..60),
            missing in 0u128..5,
        ) {
            let contents: Vec<Vec<u8>> =
                (0..4u32).map(|number| (0..200u32).map(|at| (at * 7 + number * 31) as u8).collect()).collect();
            let bytes_of = |block: BlockId, offset: u64, length: u64| {
                &contents[block.0.as_u128() as usize][offset as usize..(offset + length) as usize]
            };
            let mut group = Group::default();
            for (number, offset, length) in places {
                let (offset, length) = (offset as u64, length as u64);
                group.add(member(number, offset, length), crc32c(bytes_of(block(number), offset, length)));
            }
            let plan = group.plan(|at| at != block(missing));
            let mut pack = Vec::new();
            for run in &plan.runs {
                let bytes = bytes_of(run.block, run.offset, run.length);
                prop_assert_eq!(crc32c(bytes), run.crc32c);
                pack.extend_from_slice(bytes);
            }
            prop_assert_eq!((pack.len() as u64, crc32c(&pack)), (plan.length, plan.crc32c));
            for Placed { member, offset, crc32c: crc } in &plan.members {
                let bytes = &pack[*offset as usize..(*offset + member.length) as usize];
                prop_assert_eq!(bytes, bytes_of(member.block, member.offset, member.length));
                prop_assert_eq!(crc32c(bytes), *crc);
                prop_assert!(member.block != block(missing));
            }
        }
    }
}

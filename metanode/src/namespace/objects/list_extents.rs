//! Lists the extents of an extent list from an offset on, with the locations of their blocks.

use std::collections::HashMap;

use cairn_protocol::id::BlockId;
use cairn_protocol::metadata::{
    BlockLocation, Content, ExtentPage, ListExtents, ListId, LocateBlocks, LocatedExtent, MetadataError,
    ObjectVersion, ResolvedExtent,
};
use cairn_protocol::warn_self;

use crate::namespace::{Namespace, PAGE_MAX, cut, malformed};
use crate::store::lists::{FoundExtent, List};
use crate::store::{self, Connection};

impl Namespace {
    pub(in crate::namespace) async fn list_extents(
        &self,
        request: ListExtents,
    ) -> Result<ExtentPage, MetadataError> {
        let mut reader = self.store.read().await?;
        let ListExtents { list, start, end, max } = request;
        let found = find(&mut reader, list).await?;
        let end = end.min(found.length);
        let content = (Content::List { list }, found.length);
        match self.locate(&mut reader, content, start, end, max).await? {
            Some((extents, more)) => Ok(ExtentPage { extents, more }),
            None => {
                // The sweep removes a list bit by bit. It may have begun during this read.
                find(&mut reader, list).await?;
                warn_self!(
                    ?list,
                    "the entries of an extent list, or their blocks, are damaged or not all there"
                );
                Err(MetadataError::Internal)
            }
        }
    }

    pub(in crate::namespace) async fn locate_blocks(
        &self,
        request: LocateBlocks,
    ) -> Result<Vec<BlockLocation>, MetadataError> {
        if request.blocks.len() > PAGE_MAX as usize {
            return Err(malformed(format!("at most {PAGE_MAX} blocks are located at once")));
        }
        let mut reader = self.store.read().await?;
        self.blocks.locate(&mut reader, &request.blocks).await
    }

    /// The first `max` extents of a version with bytes in `start..end`, with the locations of their blocks, and whether
    /// there are more.
    pub(in crate::namespace) async fn locate_extents(
        &self,
        reader: &mut Connection,
        object: &ObjectVersion,
        start: u64,
        end: u64,
        max: u32,
    ) -> Result<(Vec<LocatedExtent>, bool), MetadataError> {
        match self.locate(reader, (object.content, object.length), start, end, max).await? {
            Some(located) => Ok(located),
            None => {
                warn_self!(version = %object.version, "a version's extents or blocks are damaged or not all there");
                Err(MetadataError::Internal)
            }
        }
    }

    /// The same; `None` if they are not what was written, or not all there.
    async fn locate(
        &self,
        reader: &mut Connection,
        content: (Content, u64),
        start: u64,
        end: u64,
        max: u32,
    ) -> Result<Option<(Vec<LocatedExtent>, bool)>, MetadataError> {
        if start >= end || max == 0 {
            return Ok(Some((Vec::new(), start < end)));
        }
        let max = max.min(PAGE_MAX);
        let mut found = store::lists::extents(reader, content, start, end, max + 1).await?;
        if !found.iter().all(FoundExtent::is_sound) {
            return Ok(None);
        }
        let more = cut(&mut found, max);
        let mut blocks: Vec<BlockId> = found.iter().map(|found| found.extent.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let located = self.blocks.locate(reader, &blocks).await?;
        let located: HashMap<_, _> = located.into_iter().map(|location| (location.block, location)).collect();
        let extents: Option<Vec<_>> = found
            .into_iter()
            .map(|FoundExtent { extent, path }| {
                let block = located.get(&extent.block)?.clone();
                let ResolvedExtent { object_offset, block_offset: offset, length, .. } = extent;
                Some(LocatedExtent { object_offset, offset, length, block, path })
            })
            .collect();
        let sound = extents.filter(|extents| are_sound(extents, start, (!more).then_some(end)));
        Ok(sound.map(|extents| (extents, more)))
    }
}

/// A list that something refers to.
async fn find(reader: &mut Connection, list: ListId) -> Result<List, MetadataError> {
    let found = store::lists::find(reader, list).await?.filter(|list| list.refs > 0);
    found.ok_or(MetadataError::NoSuchVersion)
}

/// Whether the extents cover `start`, follow each other without gaps, and lie within their blocks. With `end`, they
/// must also reach to it.
fn are_sound(extents: &[LocatedExtent], start: u64, end: Option<u64>) -> bool {
    let Some(first) = extents.first() else { return false };
    let mut next = first.object_offset;
    for extent in extents {
        let within = extent.offset.checked_add(extent.length).is_some_and(|end| end <= extent.block.length);
        if extent.object_offset != next || extent.length == 0 || !within {
            return false;
        }
        next = next.saturating_add(extent.length);
    }
    first.object_offset <= start && start < next && end.is_none_or(|end| next >= end)
}

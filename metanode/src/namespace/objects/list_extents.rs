//! Lists the extents of a version from an offset on, with the locations of their blocks.

use std::collections::HashMap;

use cairn_protocol::id::{BlockId, VersionId};
use cairn_protocol::metadata::{
    BlockLocation, ExtentPage, ListExtents, LocateBlocks, LocatedExtent, MetadataError,
};
use cairn_protocol::warn_self;

use crate::namespace::{Namespace, PAGE_MAX, cut, malformed};
use crate::store::{self, Connection};

impl Namespace {
    pub(in crate::namespace) async fn list_extents(
        &self,
        request: ListExtents,
    ) -> Result<ExtentPage, MetadataError> {
        let mut reader = self.store.read().await?;
        let found = store::objects::find_version(&mut reader, request.version).await?;
        let (_, object) = found.ok_or(MetadataError::NoSuchVersion)?;
        let ListExtents { version, start, end, max } = request;
        let end = end.min(object.length);
        let (extents, more) = self.locate_extents(&mut reader, version, start, end, max).await?;
        Ok(ExtentPage { extents, more })
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
        version: VersionId,
        start: u64,
        end: u64,
        max: u32,
    ) -> Result<(Vec<LocatedExtent>, bool), MetadataError> {
        if start >= end {
            return Ok((Vec::new(), false));
        }
        let max = max.min(PAGE_MAX);
        let mut extents = store::extents::list(reader, version.as_bytes(), start, end, max + 1).await?;
        let more = cut(&mut extents, max);
        let mut blocks: Vec<BlockId> = extents.iter().map(|extent| extent.block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let located = self.blocks.locate(reader, &blocks).await?;
        let located: HashMap<_, _> = located.into_iter().map(|location| (location.block, location)).collect();
        let extents: Option<Vec<_>> = extents
            .into_iter()
            .map(|extent| {
                Some(LocatedExtent {
                    object_offset: extent.object_offset,
                    offset: extent.block_offset,
                    length: extent.length,
                    block: located.get(&extent.block)?.clone(),
                })
            })
            .collect();
        match extents {
            Some(extents) if max == 0 || are_sound(&extents, start, (!more).then_some(end)) => {
                Ok((extents, more))
            }
            Some(_) | None => Err(explain_damage(reader, version).await?),
        }
    }
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

/// The error for a version whose extents or blocks are not all there. The sweep removes a version together with its
/// extents and blocks, so its grace period may have ended during this read. Otherwise the database is damaged.
async fn explain_damage(reader: &mut Connection, version: VersionId) -> Result<MetadataError, MetadataError> {
    if store::objects::find_version(reader, version).await?.is_none() {
        return Ok(MetadataError::NoSuchVersion);
    }
    warn_self!(%version, "a version's extents or blocks are not all there");
    Ok(MetadataError::Internal)
}

use std::collections::HashMap;

use cairn_protocol::id::{BlockId, VersionId};
use cairn_protocol::metadata::{
    BlockLocation, ExtentPage, ListExtents, LocateBlocks, LocatedExtent, MetadataError,
};
use cairn_protocol::warn_self;

use crate::namespace::{Namespace, PAGE_MAX, cut, malformed};
use crate::store::{self, Connection};

impl Namespace {
    pub(in crate::namespace) async fn extents(
        &self,
        request: ListExtents,
    ) -> Result<ExtentPage, MetadataError> {
        let mut reader = self.store.read().await?;
        if store::objects::find_version(&mut reader, request.version).await?.is_none() {
            return Err(MetadataError::NoSuchVersion);
        }
        let ListExtents { version, start, end, max } = request;
        let (extents, more) = self.locate_extents(&mut reader, version, start, end, max).await?;
        Ok(ExtentPage { extents, more })
    }

    pub(in crate::namespace) async fn block_locations(
        &self,
        request: LocateBlocks,
    ) -> Result<Vec<BlockLocation>, MetadataError> {
        if request.blocks.len() > PAGE_MAX as usize {
            return Err(malformed(format!("at most {PAGE_MAX} blocks are located at once")));
        }
        let mut reader = self.store.read().await?;
        self.blocks.locate(&mut reader, &request.blocks).await
    }

    /// The first `max` extents of a version with bytes in `start..end`, whether there are more, and
    /// where they are.
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
            Some(extents) => Ok((extents, more)),
            None => Err(explain_missing_block(reader, version).await?),
        }
    }
}

/// The sweep drops a version together with its extents and blocks. So when a block is not there, the
/// grace period ended while we read; or the database is damaged.
async fn explain_missing_block(
    reader: &mut Connection,
    version: VersionId,
) -> Result<MetadataError, MetadataError> {
    if store::objects::find_version(reader, version).await?.is_none() {
        return Ok(MetadataError::NoSuchVersion);
    }
    warn_self!(%version, "a version refers to a block that is not there");
    Ok(MetadataError::Internal)
}

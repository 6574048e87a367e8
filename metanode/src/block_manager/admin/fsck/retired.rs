//! Checks versions that were deleted or overwritten. They may be read until their grace period ends, so their blocks must
//! exist. They count as garbage and not as objects of their buckets; only their problems are listed.

use super::Walk;
use super::cursor::{Open, Place};
use super::owners::{Owner, begin};
use crate::store::StoreError;
use crate::store::fsck;

impl Walk<'_> {
    pub(super) async fn retired(
        &mut self,
        from: Option<[u8; 16]>,
        open: Option<Open>,
    ) -> Result<Place, StoreError> {
        let begin_at = from.map(|owner| owner.to_vec()).unwrap_or_default();
        let offset = open.map_or(0, |open| open.from);
        let max = self.rows.saturating_add(1);
        let rows = fsck::retired(self.reader, &begin_at, offset, max).await?;
        // The extents of a retired owner never change, except that they are removed. The owner is therefore the one of
        // the last page, or its version is gone.
        let mut current: Option<(String, Owner)> = None;
        let limit = usize::try_from(self.rows).unwrap_or(usize::MAX);
        for (index, (garbage, row)) in rows.iter().enumerate() {
            let same = current.as_ref().is_some_and(|(_, owner)| row.owner.is_some_and(|id| owner.is(id)));
            if index > 0 && (index >= limit || self.report.is_full()) {
                let from = row.extent.as_ref().map_or(0, |extent| extent.object_offset);
                let open = current.as_ref().filter(|_| same);
                let open = open.map(|(_, owner)| Open { owner: *garbage, from, expected: owner.expected() });
                if let Some((bucket, owner)) = current.filter(|_| !same) {
                    self.end(&bucket, &owner).await?;
                }
                return Ok(Place::Retired { owner: Some(*garbage), open });
            }
            if !same {
                if let Some((bucket, owner)) = current.take() {
                    self.end(&bucket, &owner).await?;
                }
                let bucket = row.bucket.clone().unwrap_or_default();
                current = begin(row, open, true).map(|owner| (bucket, owner));
            }
            if let (Some((bucket, owner)), Some(extent)) = (current.as_mut(), &row.extent) {
                self.extent(bucket, owner, extent);
            }
        }
        if let Some((bucket, owner)) = current {
            self.end(&bucket, &owner).await?;
        }
        Ok(Place::Blocks { after: None })
    }
}

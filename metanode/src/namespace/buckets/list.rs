//! Lists buckets in the order of their names, a page at a time.

use cairn_protocol::metadata::{BucketPage, ListBuckets, MetadataError};

use crate::namespace::{Namespace, PAGE_MAX};
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn list_buckets(
        &self,
        request: ListBuckets,
    ) -> Result<BucketPage, MetadataError> {
        let (owner, region) = (request.owner.as_deref(), request.region.as_deref());
        let max = request.max.min(PAGE_MAX);
        let size = usize::try_from(max).unwrap_or(usize::MAX);
        // The first name after the mark is the mark followed by a zero character.
        let behind = request.after.map(|after| after + "\0").unwrap_or_default();
        let from = behind.max(request.prefix.clone());
        let mut reader = self.store.read().await?;
        let mut buckets =
            store::buckets::list(&mut reader, &from, max.saturating_add(1), owner, region).await?;
        let matching = buckets.iter().take_while(|info| info.bucket.starts_with(&request.prefix)).count();
        buckets.truncate(matching.min(size));
        Ok(BucketPage { truncated: size > 0 && matching > size, buckets })
    }
}

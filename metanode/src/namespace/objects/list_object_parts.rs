//! Lists the parts from which a multipart object was completed.

use cairn_protocol::metadata::{ListObjectParts, MetadataError, ObjectPartPage};

use crate::namespace::{Namespace, PAGE_MAX, cut};
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn list_object_parts(
        &self,
        request: ListObjectParts,
    ) -> Result<ObjectPartPage, MetadataError> {
        let max = request.max.min(PAGE_MAX);
        // A snapshot, because after a sweep between the two reads the version would seem to have no parts.
        let mut reader = self.store.snapshot().await?;
        let ListObjectParts { list, after, offset, .. } = request;
        if store::lists::find(&mut reader, list).await?.is_none_or(|list| list.refs < 1) {
            return Err(MetadataError::NoSuchVersion);
        }
        let mut parts = store::list_parts::list(&mut reader, list, after, offset, max + 1).await?;
        let truncated = cut(&mut parts, max) && max > 0;
        Ok(ObjectPartPage { parts, truncated })
    }
}

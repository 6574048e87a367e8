//! Lists the parts of an upload by their numbers.

use cairn_protocol::metadata::{ListParts, MetadataError, PartPage};

use super::find_in_progress;
use crate::namespace::{Namespace, PAGE_MAX, cut};
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn list_parts(
        &self,
        request: ListParts,
    ) -> Result<PartPage, MetadataError> {
        let max = request.max.min(PAGE_MAX);
        // Both reads are of one snapshot. If the upload was completed or aborted between them, it would seem to be in
        // progress without parts, and the client's parts would be refused.
        let mut reader = self.store.snapshot().await?;
        let (_, upload) = find_in_progress(&mut reader, &request.target).await?;
        let mut parts = store::parts::list(&mut reader, upload.upload, request.after, max + 1).await?;
        let truncated = cut(&mut parts, max) && max > 0;
        Ok(PartPage { upload, parts, truncated })
    }
}

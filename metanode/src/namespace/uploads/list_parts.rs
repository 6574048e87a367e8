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
        // Upload and parts as of one moment: if it were completed or aborted in between, it would seem to be in
        // progress and to have no parts, and they would be blamed for it.
        let mut reader = self.store.snapshot().await?;
        let (_, upload) = find_in_progress(&mut reader, &request.target).await?;
        let mut parts = store::parts::list(&mut reader, upload.upload, request.after, max + 1).await?;
        let truncated = cut(&mut parts, max) && max > 0;
        Ok(PartPage { upload, parts, truncated })
    }
}

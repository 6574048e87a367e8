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
        // A snapshot: if the upload were completed or aborted between the two reads, it would seem to be in progress
        // and to have no parts.
        let mut reader = self.store.snapshot().await?;
        let (_, upload) = find_in_progress(&mut reader, &request.target).await?;
        let mut parts = store::parts::list(&mut reader, upload.upload, request.after, max + 1).await?;
        let truncated = cut(&mut parts, max) && max > 0;
        let parts = parts.into_iter().map(|part| part.info).collect();
        Ok(PartPage { upload, parts, truncated })
    }
}

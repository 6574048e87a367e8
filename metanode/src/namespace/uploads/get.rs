//! Finds an upload in progress.

use cairn_protocol::metadata::{MetadataError, UploadInfo, UploadRef};

use super::find_in_progress;
use crate::namespace::Namespace;

impl Namespace {
    pub(in crate::namespace) async fn get_upload(
        &self,
        request: UploadRef,
    ) -> Result<UploadInfo, MetadataError> {
        let mut reader = self.store.read().await?;
        Ok(find_in_progress(&mut reader, &request).await?.1)
    }
}

//! Lists uploads in progress by key and time of initiation, rolled up at a delimiter.

use cairn_protocol::metadata::{ListUploads, MetadataError, UploadEntry, UploadInfo, UploadMark, UploadPage};

use crate::namespace::objects::{check_delimiter, place};
use crate::namespace::walk::{Cost, Entry, Listed, Place, Walk};
use crate::namespace::{Namespace, PAGE_MAX, bucket_id};
use crate::store;

impl Listed for UploadInfo {
    fn key(&self) -> &str {
        &self.key
    }

    fn behind(&self) -> Place {
        Place { key: self.key.as_bytes().to_vec(), id: self.upload.as_bytes().to_vec() }
    }
}

impl Namespace {
    pub(in crate::namespace) async fn list_uploads(
        &self,
        request: ListUploads,
    ) -> Result<UploadPage, MetadataError> {
        Ok(self.walk_uploads(request).await?.0)
    }

    /// Returns the page and its cost. Upload ids are UUIDv7, so the uploads of one key are in the order of their
    /// initiation.
    pub(in crate::namespace) async fn walk_uploads(
        &self,
        request: ListUploads,
    ) -> Result<(UploadPage, Cost), MetadataError> {
        check_delimiter(request.delimiter.as_deref())?;
        let mut reader = self.store.read().await?;
        let bucket = bucket_id(&mut reader, &request.bucket).await?;
        let after = request.after.map(|mark| match mark {
            UploadMark::Mark(mark) => place(&mark),
            UploadMark::Upload { key, upload } => {
                Place { key: key.into_bytes(), id: upload.as_bytes().to_vec() }
            }
        });
        let mut walk = Walk::new(request.prefix, request.delimiter, after, request.max.min(PAGE_MAX));
        while let Some(fetch) = walk.next_fetch() {
            let from = (&fetch.from.key[..], &fetch.from.id[..]);
            walk.take(store::uploads::list(&mut reader, bucket, from, &fetch.before, fetch.limit).await?);
        }
        let (entries, truncated, cost) = walk.finish();
        let entries = entries
            .into_iter()
            .map(|entry| match entry {
                Entry::Row(upload) => UploadEntry::Upload(Box::new(upload)),
                Entry::CommonPrefix(prefix) => UploadEntry::CommonPrefix(prefix),
            })
            .collect();
        Ok((UploadPage { entries, truncated }, cost))
    }
}

//! Finds a bucket by its name.

use cairn_protocol::metadata::{BucketInfo, BucketRef, MetadataError};

use crate::namespace::Namespace;
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn get_bucket(
        &self,
        request: BucketRef,
    ) -> Result<BucketInfo, MetadataError> {
        let mut reader = self.store.read().await?;
        match store::buckets::find(&mut reader, &request.bucket).await? {
            Some((_, info)) => Ok(info),
            None => Err(MetadataError::NoSuchBucket { bucket: request.bucket }),
        }
    }
}

//! Finds a bucket by its name.

use cairn_protocol::metadata::{BucketInfo, BucketRef, MetadataError};

use crate::namespace::Namespace;
use crate::namespace::quotas::Sender;
use crate::store;
use crate::store::usage::Owners;

impl Namespace {
    pub(in crate::namespace) async fn get_bucket(
        &self,
        request: BucketRef,
    ) -> Result<BucketInfo, MetadataError> {
        let mut reader = self.store.read().await?;
        match store::buckets::find(&mut reader, &request.bucket).await? {
            Some((bucket, info)) => {
                let user = Sender::current().user(&mut reader).await?;
                let room = store::usage::room(&mut reader, Owners { bucket, user }).await?;
                Ok(BucketInfo { room, ..info })
            }
            None => Err(MetadataError::NoSuchBucket { bucket: request.bucket }),
        }
    }
}

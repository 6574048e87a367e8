//! Deletes a bucket without objects. Its uploads end with it.

use cairn_protocol::metadata::{DeleteBucket, MetadataError};

use crate::namespace::{Namespace, bucket_id};
use crate::store;

impl Namespace {
    /// Uploads in progress do not prevent the deletion, because AWS requires only that all objects are deleted before
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html>). They end with the bucket, so that
    /// none of them completes into a bucket that does not exist: uploads are found through their bucket, and its id is
    /// never used again. There may be 10⁵ of them, so a worker removes them in small steps
    /// ([`give_up_uploads_of_deleted`](crate::store::expiry::give_up_uploads_of_deleted)).
    pub(in crate::namespace) async fn delete_bucket(
        &self,
        request: DeleteBucket,
    ) -> Result<(), MetadataError> {
        let env = self.env.clone();
        let leaves_uploads = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if store::mutations::find::<()>(tx, request.mutation).await?.is_some() {
                        return Ok(false);
                    }
                    let now = env.now();
                    let bucket = bucket_id(tx, &request.bucket).await?;
                    if store::objects::any_current(tx, bucket).await? {
                        return Err(MetadataError::BucketNotEmpty { bucket: request.bucket });
                    }
                    let leaves_uploads = store::buckets::delete(tx, bucket, now).await?;
                    store::mutations::remember(tx, request.mutation, &(), now).await?;
                    Ok(leaves_uploads)
                })
            })
            .await?;
        if leaves_uploads {
            self.blocks.uploads_left();
        }
        Ok(())
    }
}

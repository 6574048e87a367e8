//! Deletes a bucket that has no versions of objects, and no delete markers. Its uploads in progress end with it.

use cairn_protocol::metadata::{DeleteBucket, MetadataError};

use crate::namespace::{Namespace, bucket_id};
use crate::store::{self, Lane};

impl Namespace {
    /// Uploads in progress do not keep a bucket from being deleted: AWS requires of DeleteBucket only that all objects
    /// are deleted before (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html>). The uploads end
    /// with the bucket, so that none of them completes into a bucket that does not exist: an upload is found only
    /// through its bucket, whose id is never used again. There may be 10⁵ of them, so a worker aborts them in small
    /// steps ([`give_up_uploads_of_deleted`](crate::store::expiry::give_up_uploads_of_deleted)).
    pub(in crate::namespace) async fn delete_bucket(
        &self,
        request: DeleteBucket,
    ) -> Result<(), MetadataError> {
        let env = self.env.clone();
        // Gateways decide with what they know of the bucket of this name. If it is another bucket from now on, they must ask.
        let access = self.access.clone();
        let ended = move |leaves_uploads| {
            access.advance();
            leaves_uploads
        };
        let leaves_uploads = self
            .store
            .write_then(
                Lane::Client,
                move |tx| {
                    Box::pin(async move {
                        if store::mutations::find::<()>(tx, request.mutation).await?.is_some() {
                            return Ok(false);
                        }
                        let now = env.now();
                        let bucket = bucket_id(tx, &request.bucket).await?;
                        if store::objects::any(tx, bucket).await? {
                            return Err(MetadataError::BucketNotEmpty { bucket: request.bucket });
                        }
                        let leaves_uploads = store::buckets::delete(tx, bucket, now).await?;
                        store::mutations::remember(tx, request.mutation, &(), now).await?;
                        Ok::<_, MetadataError>(leaves_uploads)
                    })
                },
                ended,
            )
            .await?;
        if leaves_uploads {
            self.blocks.uploads_left();
        }
        Ok(())
    }
}

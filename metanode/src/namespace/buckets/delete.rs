use cairn_protocol::event::EventKind;
use cairn_protocol::id::UploadId;
use cairn_protocol::metadata::{DeleteBucket, MetadataError};

use crate::namespace::{Namespace, bucket_id};
use crate::store;

impl Namespace {
    /// Uploads in progress do not keep a bucket, for AWS says of DeleteBucket only that all objects
    /// must be deleted before
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html>). They are aborted
    /// with it, so that none of them can complete into a bucket that is not there.
    pub(in crate::namespace) async fn remove_bucket(
        &self,
        request: DeleteBucket,
    ) -> Result<(), MetadataError> {
        let env = self.env.clone();
        let aborted: Vec<UploadId> = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if store::mutations::find::<()>(tx, request.mutation).await?.is_some() {
                        return Ok(Vec::new());
                    }
                    let now = env.now();
                    let bucket = bucket_id(tx, &request.bucket).await?;
                    if store::objects::any_current(tx, bucket).await? {
                        return Err(MetadataError::BucketNotEmpty { bucket: request.bucket });
                    }
                    let aborted = store::uploads::abort_all(tx, bucket, now).await?;
                    store::buckets::delete(tx, bucket).await?;
                    store::mutations::remember(tx, request.mutation, &(), now).await?;
                    Ok(aborted)
                })
            })
            .await?;
        for upload in aborted {
            self.events.publish(EventKind::UploadAborted { upload });
        }
        Ok(())
    }
}

use cairn_protocol::metadata::{MetadataError, UpdateTags};

use crate::namespace::{Namespace, bucket_id};
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn replace_tags(&self, request: UpdateTags) -> Result<(), MetadataError> {
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let bucket = bucket_id(tx, &request.bucket).await?;
                    if store::objects::set_tags(tx, bucket, &request.key, &request.tags).await? {
                        Ok(())
                    } else {
                        Err(MetadataError::NoSuchKey)
                    }
                })
            })
            .await
    }
}

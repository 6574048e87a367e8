//! Replaces the tags of the current version.

use cairn_protocol::metadata::{MetadataError, UpdateTags};

use crate::namespace::{Namespace, bucket_id};
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn update_tags(&self, request: UpdateTags) -> Result<(), MetadataError> {
        let env = self.env.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    // A repetition must not overwrite tags that another request has set since.
                    if store::mutations::find::<()>(tx, request.mutation).await?.is_some() {
                        return Ok(());
                    }
                    let bucket = bucket_id(tx, &request.bucket).await?;
                    if !store::objects::set_tags(tx, bucket, &request.key, &request.tags).await? {
                        return Err(MetadataError::NoSuchKey);
                    }
                    store::mutations::remember(tx, request.mutation, &(), env.now()).await?;
                    Ok(())
                })
            })
            .await
    }
}

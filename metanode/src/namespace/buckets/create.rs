//! Creates a bucket. A second creation fails with `BucketExists`.

use cairn_protocol::metadata::{BucketInfo, CreateBucket, MetadataError, Versioning};

use crate::namespace::Namespace;
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn create_bucket(
        &self,
        request: CreateBucket,
    ) -> Result<BucketInfo, MetadataError> {
        let env = self.env.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let CreateBucket { bucket, region, mutation } = request;
                    if let Some(made) = store::mutations::find(tx, mutation).await? {
                        return Ok(made);
                    }
                    let created_at = env.now();
                    if !store::buckets::insert(tx, &bucket, &region, created_at).await? {
                        return Err(MetadataError::BucketExists { bucket });
                    }
                    let made = BucketInfo { bucket, region, created_at, versioning: Versioning::Never };
                    store::mutations::remember(tx, mutation, &made, created_at).await?;
                    Ok(made)
                })
            })
            .await
    }
}

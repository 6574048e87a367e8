//! Creates a bucket. A second creation fails with `BucketExists`.

use cairn_protocol::metadata::{BucketInfo, CreateBucket, MetadataError, NewConfiguration, Versioning};

use super::check_kind;
use crate::namespace::{Namespace, bucket_id};
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
                    let CreateBucket { bucket, region, owner, configurations, mutation } = request;
                    if let Some(made) = store::mutations::find(tx, mutation).await? {
                        return Ok(made);
                    }
                    let created_at = env.now();
                    if !store::buckets::insert(tx, &bucket, &region, &owner, created_at).await? {
                        return Err(MetadataError::BucketExists { bucket });
                    }
                    let id = bucket_id(tx, &bucket).await?;
                    for NewConfiguration { kind, document } in configurations {
                        check_kind(kind)?;
                        store::configurations::put(tx, id, kind, &document).await?;
                    }
                    let made =
                        BucketInfo { bucket, region, created_at, versioning: Versioning::Never, owner };
                    store::mutations::remember(tx, mutation, &made, created_at).await?;
                    Ok(made)
                })
            })
            .await
    }
}

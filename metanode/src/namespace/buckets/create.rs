//! Creates a bucket. A second creation fails with `BucketExists`.

use cairn_protocol::metadata::{
    BucketInfo, BucketLock, CreateBucket, MetadataError, NewConfiguration, Versioning,
};

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
                    let CreateBucket { bucket, region, owner, configurations, object_lock, mutation } =
                        request;
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
                    let mut made = BucketInfo {
                        bucket,
                        region,
                        created_at,
                        versioning: Versioning::Never,
                        owner,
                        object_lock: None,
                        room: Vec::new(),
                    };
                    if object_lock {
                        // Locks are of versions, so AWS enables versioning together with Object Lock.
                        made.versioning = Versioning::Enabled;
                        made.object_lock = Some(BucketLock::default());
                        store::buckets::set_versioning(tx, id, made.versioning).await?;
                        store::buckets::set_lock(tx, id, &BucketLock::default()).await?;
                    }
                    store::mutations::remember(tx, mutation, &made, created_at).await?;
                    Ok(made)
                })
            })
            .await
    }
}

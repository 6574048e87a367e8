use cairn_protocol::metadata::{BucketInfo, CreateBucket, MetadataError};

use crate::namespace::Namespace;
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn make_bucket(
        &self,
        request: CreateBucket,
    ) -> Result<BucketInfo, MetadataError> {
        let env = self.env.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let CreateBucket { bucket, region } = request;
                    let created_at = env.now();
                    if store::buckets::insert(tx, &bucket, &region, created_at).await? {
                        Ok(BucketInfo { bucket, region, created_at })
                    } else {
                        Err(MetadataError::BucketExists { bucket })
                    }
                })
            })
            .await
    }
}

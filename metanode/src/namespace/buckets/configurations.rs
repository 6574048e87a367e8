//! Reads and changes what a bucket is configured to do.

use cairn_protocol::env::Env;
use cairn_protocol::metadata::{
    BucketConfigurations, BucketRef, ConfigurationKind, MetadataError, PutBucketConfiguration,
};

use super::check_kind;
use crate::namespace::{Namespace, bucket, bucket_id};
use crate::store::lifecycle::Walk;
use crate::store::{self, Lane};

impl Namespace {
    pub(in crate::namespace) async fn get_bucket_configurations(
        &self,
        request: BucketRef,
    ) -> Result<BucketConfigurations, MetadataError> {
        // Read before the data: if it changes in between, the gateway's first call tells it so.
        let epoch = self.access.current();
        let mut snapshot = self.store.snapshot().await?;
        let (id, info) = bucket(&mut snapshot, &request.bucket).await?;
        let configurations = store::configurations::all(&mut snapshot, id).await?;
        let kind = ConfigurationKind::PublicAccessBlock;
        let account_public_access_block =
            store::configurations::of_account(&mut snapshot, &info.owner.id, kind).await?;
        let has_quota = store::usage::bucket_quota(&mut snapshot, id).await?.is_set();
        let lifecycle_day_ms = self.schedule.day().ms();
        Ok(BucketConfigurations {
            info,
            configurations,
            account_public_access_block,
            lifecycle_day_ms,
            has_quota,
            epoch,
        })
    }

    pub(in crate::namespace) async fn put_bucket_configuration(
        &self,
        request: PutBucketConfiguration,
    ) -> Result<u64, MetadataError> {
        check_kind(request.kind)?;
        let (env, access) = (self.env.clone(), self.access.clone());
        let is_remembered = request.kind.is_remembered();
        // After the commit and before the answer: when the client knows that access was taken away, nobody has it.
        let done = move |revision| {
            if is_remembered {
                access.advance();
            }
            revision
        };
        self.store.write_then(Lane::Client, move |tx| Box::pin(change(tx, request, env)), done).await
    }
}

async fn change(
    tx: &mut store::Connection,
    request: PutBucketConfiguration,
    env: Env,
) -> Result<u64, MetadataError> {
    let PutBucketConfiguration { bucket, kind, document, expected_revision, mutation } = request;
    if let Some(revision) = store::mutations::find(tx, mutation).await? {
        return Ok(revision);
    }
    let id = bucket_id(tx, &bucket).await?;
    if let Some(expected) = expected_revision
        && store::configurations::revision(tx, id, kind).await? != expected
    {
        return Err(MetadataError::PreconditionFailed);
    }
    let revision = match document {
        Some(document) => store::configurations::put(tx, id, kind, &document).await?,
        None => {
            store::configurations::delete(tx, id, kind).await?;
            0
        }
    };
    if kind == ConfigurationKind::Lifecycle {
        // Versions and uploads that are there already get the due times of the new rules, or lose those of the old ones.
        store::lifecycle::put_walk(tx, &Walk::begin(id)).await?;
    }
    store::mutations::remember(tx, mutation, &revision, env.now()).await?;
    Ok(revision)
}

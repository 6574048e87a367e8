//! Enables Object Lock for a bucket, and sets its default retention.

use cairn_protocol::env::Env;
use cairn_protocol::metadata::{
    BucketLock, DefaultRetention, MetadataError, RETENTION_DAYS_MAX, RETENTION_YEARS_MAX, RetentionPeriod,
    SetBucketLock, Versioning,
};

use crate::namespace::{Namespace, bucket, malformed};
use crate::store::{self, Connection, Lane};

impl Namespace {
    /// Versions that exist already keep the locks that they have.
    pub(in crate::namespace) async fn set_bucket_lock(
        &self,
        request: SetBucketLock,
    ) -> Result<(), MetadataError> {
        check(&request.lock)?;
        let (env, access) = (self.env.clone(), self.access.clone());
        // Gateways remember whether a bucket locks what is written to it.
        let done = move |()| access.advance();
        self.store.write_then(Lane::Client, move |tx| Box::pin(set(tx, request, env)), done).await
    }
}

async fn set(tx: &mut Connection, request: SetBucketLock, env: Env) -> Result<(), MetadataError> {
    // A repetition must not undo what another request has set since.
    if store::mutations::find::<()>(tx, request.mutation).await?.is_some() {
        return Ok(());
    }
    let (bucket, info) = bucket(tx, &request.bucket).await?;
    if info.versioning != Versioning::Enabled {
        return Err(MetadataError::VersioningNotEnabled { bucket: info.bucket });
    }
    store::buckets::set_lock(tx, bucket, &request.lock).await?;
    store::mutations::remember(tx, request.mutation, &(), env.now()).await?;
    Ok(())
}

fn check(lock: &BucketLock) -> Result<(), MetadataError> {
    let Some(DefaultRetention { period, .. }) = lock.default_retention else { return Ok(()) };
    let fits = match period {
        RetentionPeriod::Days(days) => (1..=RETENTION_DAYS_MAX).contains(&days),
        RetentionPeriod::Years(years) => (1..=RETENTION_YEARS_MAX).contains(&years),
    };
    if fits { Ok(()) } else { Err(malformed("the default retention is too short or too long")) }
}

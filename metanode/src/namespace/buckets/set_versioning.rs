//! Enables or suspends the versioning of a bucket.

use cairn_protocol::metadata::{MetadataError, SetVersioning, Versioning};

use crate::namespace::{Namespace, bucket, malformed};
use crate::store;

impl Namespace {
    /// The objects stay as they are: their versions are null versions from then on too.
    pub(in crate::namespace) async fn set_versioning(
        &self,
        request: SetVersioning,
    ) -> Result<(), MetadataError> {
        if request.versioning == Versioning::Never {
            return Err(malformed("versioning is suspended and not turned off, once it was enabled"));
        }
        let env = self.env.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    // A repetition must not undo what another request has set since.
                    if store::mutations::find::<()>(tx, request.mutation).await?.is_some() {
                        return Ok(());
                    }
                    let (bucket, info) = bucket(tx, &request.bucket).await?;
                    if info.object_lock.is_some() && request.versioning != Versioning::Enabled {
                        return Err(MetadataError::VersioningLocked { bucket: info.bucket });
                    }
                    store::buckets::set_versioning(tx, bucket, request.versioning).await?;
                    store::mutations::remember(tx, request.mutation, &(), env.now()).await?;
                    Ok(())
                })
            })
            .await
    }
}

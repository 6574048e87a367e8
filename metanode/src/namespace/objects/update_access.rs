//! Replaces owner and ACL of a version.

use cairn_protocol::metadata::{MetadataError, UpdateAccess, VersionName};

use super::check_sound;
use super::lookup::find;
use crate::namespace::{Namespace, bucket_id};
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn update_access(
        &self,
        request: UpdateAccess,
    ) -> Result<Option<VersionName>, MetadataError> {
        let env = self.env.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    // A repetition must not overwrite what another request has set since.
                    if let Some(name) = store::mutations::find(tx, request.mutation).await? {
                        return Ok(name);
                    }
                    let bucket = bucket_id(tx, &request.bucket).await?;
                    let mut version = find(tx, bucket, &request.key, request.version).await?;
                    // A damaged version must not get a checksum that says it is sound.
                    check_sound(&version)?;
                    version.attributes.access = request.access;
                    version.checksum = version.computed_checksum();
                    store::objects::update(tx, bucket, &version).await?;
                    let name = version.shown_name();
                    store::mutations::remember(tx, request.mutation, &name, env.now()).await?;
                    Ok(name)
                })
            })
            .await
    }
}

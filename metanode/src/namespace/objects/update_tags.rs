//! Replaces the tags of a version.

use cairn_protocol::metadata::{MetadataError, UpdateTags, VersionName};

use super::check_sound;
use super::lookup::find;
use crate::namespace::{Namespace, bucket_id};
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn update_tags(
        &self,
        request: UpdateTags,
    ) -> Result<Option<VersionName>, MetadataError> {
        let env = self.env.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    // A repetition must not overwrite tags that another request has set since.
                    if let Some(name) = store::mutations::find(tx, request.mutation).await? {
                        return Ok(name);
                    }
                    let bucket = bucket_id(tx, &request.bucket).await?;
                    let mut version = find(tx, bucket, &request.key, request.version).await?;
                    // A damaged version must not get a checksum that says it is sound.
                    check_sound(&version)?;
                    version.tags = request.tags;
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

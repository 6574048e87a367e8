//! Changes of what a version says of itself: its tags, its owner and ACL.

use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::{MetadataError, ObjectVersion, UpdateAccess, UpdateTags, VersionName};

use super::check_sound;
use super::lookup::find;
use crate::namespace::{Namespace, bucket_id};
use crate::store;

/// A version as a request names it.
struct Named {
    bucket: String,
    key: String,
    version: Option<VersionName>,
}

impl Namespace {
    /// Replaces the tags of a version.
    pub(in crate::namespace) async fn update_tags(
        &self,
        request: UpdateTags,
    ) -> Result<Option<VersionName>, MetadataError> {
        let UpdateTags { bucket, key, version, tags, mutation } = request;
        self.update(Named { bucket, key, version }, mutation, |version| version.tags = tags).await
    }

    /// Replaces owner and ACL of a version.
    pub(in crate::namespace) async fn update_access(
        &self,
        request: UpdateAccess,
    ) -> Result<Option<VersionName>, MetadataError> {
        let UpdateAccess { bucket, key, version, access, mutation } = request;
        self.update(Named { bucket, key, version }, mutation, |version| version.attributes.access = access)
            .await
    }

    async fn update(
        &self,
        named: Named,
        mutation: Option<MutationId>,
        change: impl FnOnce(&mut ObjectVersion) + Send + 'static,
    ) -> Result<Option<VersionName>, MetadataError> {
        let (env, schedule) = (self.env.clone(), self.schedule.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    // A repetition must not overwrite what another request has set since.
                    if let Some(name) = store::mutations::find(tx, mutation).await? {
                        return Ok(name);
                    }
                    let bucket = bucket_id(tx, &named.bucket).await?;
                    let mut version = find(tx, bucket, &named.key, named.version).await?;
                    // A damaged version must not get a checksum that says it is sound.
                    check_sound(&version)?;
                    change(&mut version);
                    version.checksum = version.computed_checksum();
                    store::objects::update(tx, bucket, &version).await?;
                    schedule.refresh_version(tx, bucket, &version).await?;
                    let name = version.shown_name();
                    store::mutations::remember(tx, mutation, &name, env.now()).await?;
                    Ok(name)
                })
            })
            .await
    }
}

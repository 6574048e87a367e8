//! Creates an upload.

use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::{CreateUpload, MetadataError, UploadInfo};

use super::find_in_progress;
use crate::namespace::quotas::{self, Sender};
use crate::namespace::{Namespace, bucket};
use crate::store;
use crate::store::usage::Owners;

impl Namespace {
    pub(in crate::namespace) async fn create_upload(
        &self,
        request: CreateUpload,
    ) -> Result<UploadInfo, MetadataError> {
        let (env, schedule, sender) = (self.env.clone(), self.schedule.clone(), Sender::current());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    // A remembered creation means that the upload was created before, and aborted since.
                    let creation = Some(MutationId(request.target.upload.0));
                    if let Some(upload) = store::mutations::find(tx, creation).await? {
                        return Ok(upload);
                    }
                    let (bucket, info) = bucket(tx, &request.target.bucket).await?;
                    if request.attributes.lock.is_some() && info.object_lock.is_none() {
                        return Err(MetadataError::NoObjectLock);
                    }
                    let mut attributes = request.attributes;
                    if info.object_lock.is_some_and(|lock| lock.default_retention.is_some()) {
                        // The default is applied when the upload is completed. Gateways require digests of locked parts.
                        attributes.lock.get_or_insert_default();
                    }
                    let upload = UploadInfo {
                        key: request.target.key.clone(),
                        upload: request.target.upload,
                        initiated_at: env.now(),
                        attributes,
                        tags: request.tags,
                        checksum: request.checksum,
                    };
                    let user = sender.user(tx).await?;
                    store::uploads::insert(tx, bucket, &upload, user).await?;
                    quotas::check(tx, Owners { bucket, user }).await?;
                    // A repetition returns the upload that the first request made.
                    let made = find_in_progress(tx, &request.target).await?.1;
                    schedule.refresh_upload(tx, bucket, &made).await?;
                    Ok(made)
                })
            })
            .await
    }
}

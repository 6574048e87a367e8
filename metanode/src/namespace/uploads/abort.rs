//! Aborts an upload and retires its parts.

use cairn_protocol::event::EventKind;
use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::{AbortUpload, MetadataError};

use super::find_in_progress;
use crate::namespace::Namespace;
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn abort_upload(&self, request: AbortUpload) -> Result<(), MetadataError> {
        let (env, upload) = (self.env.clone(), request.target.upload);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    if store::mutations::find::<()>(tx, request.mutation).await?.is_some() {
                        return Ok(());
                    }
                    let now = env.now();
                    let (_, info) = find_in_progress(tx, &request.target).await?;
                    if info.initiated_at > now.before(store::mutations::KEPT) {
                        // Remembers the creation: if its reply was lost, a repetition must not create the upload again.
                        let creation = Some(MutationId(upload.0));
                        store::mutations::remember(tx, creation, &info, now).await?;
                    }
                    store::expiry::give_up_upload(tx, upload, now).await?;
                    store::mutations::remember(tx, request.mutation, &(), now).await?;
                    Ok::<_, MetadataError>(())
                })
            })
            .await?;
        self.events.publish(EventKind::UploadAborted { upload });
        Ok(())
    }
}

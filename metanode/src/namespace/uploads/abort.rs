use cairn_protocol::event::EventKind;
use cairn_protocol::metadata::{MetadataError, UploadRef};

use super::find_in_progress;
use crate::namespace::Namespace;
use crate::store;

impl Namespace {
    pub(in crate::namespace) async fn abort(&self, request: UploadRef) -> Result<(), MetadataError> {
        let (env, upload) = (self.env.clone(), request.upload);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    find_in_progress(tx, &request).await?;
                    store::parts::retire_all(tx, upload, env.now()).await?;
                    store::parts::delete_all(tx, upload).await?;
                    store::uploads::delete(tx, upload).await?;
                    Ok::<_, MetadataError>(())
                })
            })
            .await?;
        self.events.publish(EventKind::UploadAborted { upload });
        Ok(())
    }
}

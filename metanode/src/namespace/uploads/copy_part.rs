//! Makes a part out of a range of an object. The part refers to the object's bytes.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{CopyPart, MetadataError, PartCommitted, PartInfo};

use super::{check_number, committed_before, find_in_progress, make_part};
use crate::block_manager::BlockManager;
use crate::namespace::Namespace;
use crate::namespace::objects::find_source;
use crate::namespace::quotas::Sender;
use crate::store::parts::StoredPart;
use crate::store::{self, Connection};

impl Namespace {
    pub(in crate::namespace) async fn copy_part(
        &self,
        request: CopyPart,
    ) -> Result<PartCommitted, MetadataError> {
        check_number(request.number)?;
        let (blocks, env, sender) = (self.blocks.clone(), self.env.clone(), Sender::current());
        self.store.write(move |tx| Box::pin(copy(tx, blocks, (request, sender), env.now()))).await
    }
}

async fn copy(
    tx: &mut Connection,
    blocks: BlockManager,
    (request, sender): (CopyPart, Sender),
    now: Timestamp,
) -> Result<PartCommitted, MetadataError> {
    let CopyPart { start, end, .. } = request;
    let info = PartInfo {
        number: request.number,
        part: request.part,
        length: end.saturating_sub(start),
        etag: request.etag,
        checksum: request.checksum,
        modified_at: now,
    };
    // This comes first, because a repetition succeeds even if the upload was completed or aborted since.
    if let Some(answer) = committed_before(tx, &request.target, &info).await? {
        return Ok(answer);
    }
    let (bucket, upload) = find_in_progress(tx, &request.target).await?;
    let source = find_source(tx, &request.source).await?;
    if start > end || end > source.length {
        return Err(MetadataError::InvalidSourceRange { length: source.length });
    }
    let content = store::lists::slice(tx, (source.content, source.length), start, end).await?;
    let class = upload.attributes.storage_class.as_deref();
    blocks.raise_replication(tx, content, &request.target.bucket, class).await?;
    let user = sender.user(tx).await?;
    make_part(tx, (bucket, &request.target), &StoredPart { info, content, user }, now).await
}

//! Makes stored blocks a part of an upload, and retires the part that had its number.

use cairn_protocol::env::Timestamp;
use cairn_protocol::metadata::{MetadataError, PartCommitted, PartInfo, PutPart};

use super::{check_number, committed_before, find_in_progress, make_part};
use crate::block_manager::BlockManager;
use crate::namespace::Namespace;
use crate::namespace::objects::check_length;
use crate::namespace::quotas::Sender;
use crate::store::Connection;
use crate::store::parts::StoredPart;

impl Namespace {
    pub(in crate::namespace) async fn put_part(
        &self,
        request: PutPart,
    ) -> Result<PartCommitted, MetadataError> {
        check_number(request.number)?;
        check_length(request.length, &request.extents)?;
        let (blocks, env, sender) = (self.blocks.clone(), self.env.clone(), Sender::current());
        self.store.write(move |tx| Box::pin(put(tx, blocks, (request, sender), env.now()))).await
    }
}

async fn put(
    tx: &mut Connection,
    blocks: BlockManager,
    (request, sender): (PutPart, Sender),
    now: Timestamp,
) -> Result<PartCommitted, MetadataError> {
    let info = PartInfo {
        number: request.number,
        part: request.part,
        length: request.length,
        etag: request.etag,
        checksum: request.checksum,
        modified_at: now,
    };
    // This comes first, because a repetition succeeds even if the upload was completed or aborted since.
    if let Some(answer) = committed_before(tx, &request.target, &info).await? {
        return Ok(answer);
    }
    let (bucket, _) = find_in_progress(tx, &request.target).await?;
    let content = blocks.commit_extents(tx, &request.extents).await?;
    let user = sender.user(tx).await?;
    make_part(tx, (bucket, &request.target), &StoredPart { info, content, user }, now).await
}

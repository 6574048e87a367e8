//! Starting the pack worker, and what it would do.

use std::sync::Arc;

use cairn_protocol::admin::{AdminError, PackCursor, PackPreview, PreviewPack, WorkerName, WorkerStatus};

use super::worker;
use crate::block_manager::Inner;
use crate::block_manager::workers::pack;
use crate::store::packs::Place;

pub(super) fn start(inner: &Inner) -> Result<WorkerStatus, AdminError> {
    inner.soft_state().is_pack_asked = true;
    tracing::info!("an operator wants small objects to be packed");
    worker::status(inner, WorkerName::Pack)
}

pub(super) async fn preview(inner: &Arc<Inner>, request: PreviewPack) -> Result<PackPreview, AdminError> {
    let from = match &request.after {
        None => Place::default(),
        Some(PackCursor(text)) => serde_json::from_str(text)
            .map_err(|_| AdminError::Malformed { reason: "the cursor is none of this preview".to_owned() })?,
    };
    let (mut page, next) = pack::preview(inner, from).await?;
    let encode =
        |place: Place| serde_json::to_string(&place).map(PackCursor).map_err(|_| AdminError::Internal);
    page.next = next.map(encode).transpose()?;
    Ok(page)
}

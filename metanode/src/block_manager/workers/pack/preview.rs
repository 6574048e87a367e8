//! What a walk would do, without doing it.

use std::collections::BTreeMap;

use cairn_protocol::admin::{PackPreview, PackableGroup};

use super::plan::{MEMBERS_MAX, wanted};
use crate::block_manager::Inner;
use crate::store::StoreError;
use crate::store::packs::{self, Place};

/// Versions that a page reads: some ten milliseconds.
const ROWS_PER_PAGE: u32 = 5_000;

/// A page of what a walk would do, and the beginning of the next one; `None` at the end of the walk. Buckets without any object
/// make no pages.
pub(in crate::block_manager) async fn preview(
    inner: &Inner,
    from: Place,
) -> Result<(PackPreview, Option<Place>), StoreError> {
    let mut reader = inner.store.read_in_background().await?;
    let (mut members, mut next) = packs::page(&mut reader, from, ROWS_PER_PAGE).await?;
    while let Some(from) = next.take_if(|_| members.is_empty()) {
        (members, next) = packs::page(&mut reader, from, ROWS_PER_PAGE).await?;
    }
    drop(reader);
    let now = inner.env.now();
    let written_before = now.before(inner.config.pack_age);
    let mut groups: BTreeMap<u32, PackableGroup> = BTreeMap::new();
    let mut page = PackPreview {
        versions: members.len() as u64,
        pack_size: inner.config.pack_size,
        pack_objects: MEMBERS_MAX as u64,
        ..PackPreview::default()
    };
    for member in members {
        if wanted(&member, written_before).is_some() {
            let replication = member.source.replication;
            let group =
                groups.entry(replication).or_insert(PackableGroup { replication, ..Default::default() });
            group.objects += 1;
            group.bytes += member.length;
        } else if wanted(&member, now).is_some() {
            page.young += 1;
        }
    }
    page.groups = groups.into_values().collect();
    Ok((page, next))
}

//! Lists current objects, rolled up at a delimiter. A page costs as much as it has entries, independent of the number
//! of keys below them.

use cairn_protocol::metadata::{ListEntry, ListMark, ListObjects, MetadataError, ObjectPage, ObjectSummary};

use crate::namespace::walk::{Cost, Entry, Listed, Place, Walk};
use crate::namespace::{Namespace, PAGE_MAX, bucket, malformed};
use crate::store;

impl Listed for ObjectSummary {
    fn key(&self) -> &str {
        &self.key
    }

    fn behind(&self) -> Place {
        Place::behind_key(&self.key)
    }
}

/// The place after the mark.
pub(in crate::namespace) fn place(mark: &ListMark) -> Place {
    match mark {
        ListMark::Key(key) => Place::behind_key(key),
        ListMark::Prefix(prefix) => Place::behind_prefix(prefix),
    }
}

/// Refuses an empty delimiter, which would roll up every key to the prefix.
pub(in crate::namespace) fn check_delimiter(delimiter: Option<&str>) -> Result<(), MetadataError> {
    if delimiter == Some("") { Err(malformed("the delimiter is empty")) } else { Ok(()) }
}

impl Namespace {
    pub(in crate::namespace) async fn list_objects(
        &self,
        request: ListObjects,
    ) -> Result<ObjectPage, MetadataError> {
        Ok(self.walk_objects(request).await?.0)
    }

    /// Returns the page and its cost.
    pub(in crate::namespace) async fn walk_objects(
        &self,
        request: ListObjects,
    ) -> Result<(ObjectPage, Cost), MetadataError> {
        check_delimiter(request.delimiter.as_deref())?;
        let mut reader = self.store.read().await?;
        let (bucket, info) = bucket(&mut reader, &request.bucket).await?;
        let after = request.after.as_ref().map(place);
        let mut walk = Walk::new(request.prefix, request.delimiter, after, request.max.min(PAGE_MAX));
        while let Some(fetch) = walk.next_fetch() {
            let (from, before) = (&fetch.from.key, &fetch.before);
            let rows =
                store::listings::objects(&mut reader, (bucket, info.versioning), from, before, fetch.limit);
            walk.take(rows.await?);
        }
        let (entries, truncated, cost) = walk.finish();
        let entries = entries
            .into_iter()
            .map(|entry| match entry {
                Entry::Row(object) => ListEntry::Object(Box::new(object)),
                Entry::CommonPrefix(prefix) => ListEntry::CommonPrefix(prefix),
            })
            .collect();
        Ok((ObjectPage { entries, truncated, region: info.region }, cost))
    }
}

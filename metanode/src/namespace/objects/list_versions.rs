//! Lists versions and delete markers, rolled up at a delimiter. A page costs as much as it has entries.

use cairn_protocol::metadata::{
    ListVersions, MetadataError, VersionEntry, VersionMark, VersionName, VersionPage, VersionSummary,
};

use super::check_delimiter;
use crate::namespace::walk::{Cost, Entry, Listed, Place, Walk};
use crate::namespace::{Namespace, PAGE_MAX, bucket};
use crate::store::buckets::BucketId;
use crate::store::{self, Connection};

/// The place after a version of a key. Newer versions come first, so the ids of places are the complements of sequences.
fn behind(key: &str, sequence: u64) -> Place {
    Place { id: (!sequence).to_be_bytes().to_vec(), ..Place::at(key) }
}

/// The sequence of the version before a place, if the place is within the versions of its key.
fn sequence_before(place: &Place) -> Option<u64> {
    <[u8; 8]>::try_from(&place.id[..]).ok().map(|id| !u64::from_be_bytes(id))
}

impl Listed for (VersionSummary, u64) {
    fn key(&self) -> &str {
        &self.0.object.key
    }

    fn behind(&self) -> Place {
        behind(&self.0.object.key, self.1)
    }
}

impl Namespace {
    pub(in crate::namespace) async fn list_versions(
        &self,
        request: ListVersions,
    ) -> Result<VersionPage, MetadataError> {
        Ok(self.walk_versions(request).await?.0)
    }

    /// Returns the page and its cost.
    pub(in crate::namespace) async fn walk_versions(
        &self,
        request: ListVersions,
    ) -> Result<(VersionPage, Cost), MetadataError> {
        check_delimiter(request.delimiter.as_deref())?;
        // A snapshot, because the place of a mark is looked up before.
        let mut reader = self.store.snapshot().await?;
        let (bucket, info) = bucket(&mut reader, &request.bucket).await?;
        let after = match &request.after {
            None => None,
            Some(mark) => Some(place(&mut reader, bucket, mark).await?),
        };
        let mut walk = Walk::new(request.prefix, request.delimiter, after, request.max.min(PAGE_MAX));
        while let Some(fetch) = walk.next_fetch() {
            let from = (&fetch.from.key[..], sequence_before(&fetch.from));
            walk.take(
                store::listings::versions(&mut reader, bucket, from, &fetch.before, fetch.limit).await?,
            );
        }
        let (entries, truncated, cost) = walk.finish();
        let entries = entries
            .into_iter()
            .map(|entry| match entry {
                Entry::Row((version, _)) => VersionEntry::Version(Box::new(version)),
                Entry::CommonPrefix(prefix) => VersionEntry::CommonPrefix(prefix),
            })
            .collect();
        Ok((VersionPage { entries, truncated, region: info.region }, cost))
    }
}

async fn place(
    reader: &mut Connection,
    bucket: BucketId,
    mark: &VersionMark,
) -> Result<Place, MetadataError> {
    Ok(match mark {
        VersionMark::Key(key) => Place::behind_key(key),
        VersionMark::Prefix(prefix) => Place::behind_prefix(prefix),
        VersionMark::Version(key, VersionName::Id { sequence, .. }) => behind(key, *sequence),
        VersionMark::Version(key, VersionName::Null) => {
            match store::objects::find_named(reader, bucket, key, VersionName::Null).await? {
                Some(null) => behind(key, null.object.sequence),
                None => Place::behind_key(key),
            }
        }
    })
}

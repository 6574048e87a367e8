//! Looks up an object and the extents of a range in one call, which is all that a GET needs.

use cairn_protocol::metadata::{
    LocatedObject, LookupObject, LookupRange, MetadataError, ObjectVersion, ResolvedRange, VersionName,
};

use crate::namespace::{Namespace, bucket, malformed, range};
use crate::store::buckets::BucketId;
use crate::store::objects::StoredVersion;
use crate::store::{self, Connection, give_way};

impl Namespace {
    pub(in crate::namespace) async fn lookup_object(
        &self,
        request: LookupObject,
    ) -> Result<LocatedObject, MetadataError> {
        match request.range {
            // A snapshot, because after a sweep between the two reads the version would seem to have no parts.
            LookupRange::Part { .. } => {
                give_way(async { self.look_up(&mut *self.store.snapshot().await?, request).await }).await
            }
            LookupRange::Whole | LookupRange::Bytes { .. } | LookupRange::Suffix { .. } => {
                let is_hot = request.version.is_none() && self.store.is_hot(&request.bucket, &request.key);
                let look_up = async { self.look_up(&mut *self.store.read().await?, request).await };
                if is_hot { look_up.await } else { give_way(look_up).await }
            }
        }
    }

    async fn look_up(
        &self,
        reader: &mut Connection,
        request: LookupObject,
    ) -> Result<LocatedObject, MetadataError> {
        let (bucket, info) = bucket(reader, &request.bucket).await?;
        let mut object = find(reader, bucket, &request.key, request.version).await?;
        if info.object_lock.is_some() {
            object.attributes.lock = store::locks::find(reader, bucket, &object.key, object.sequence).await?;
        }
        let range = resolve(reader, &object, request.range).await?;
        let (extents, more) = match range {
            ResolvedRange::Satisfiable { start, end } => {
                self.locate_extents(reader, &object, start, end, request.extents_max).await?
            }
            ResolvedRange::Unsatisfiable => (Vec::new(), false),
        };
        let readable_ms = u64::try_from(self.blocks.garbage_grace().as_millis()).unwrap_or(u64::MAX);
        Ok(LocatedObject { object, range, extents, more, readable_ms })
    }
}

/// A version of a key, the current one unless it is named.
///
/// # Errors
/// `NoSuchKey` or `NoSuchVersion`, or `DeleteMarker` if the version is one; the database's.
pub(super) async fn find(
    reader: &mut Connection,
    bucket: BucketId,
    key: &str,
    version: Option<VersionName>,
) -> Result<ObjectVersion, MetadataError> {
    let (found, missing) = match version {
        None => (store::objects::find_newest(reader, bucket, key).await?, MetadataError::NoSuchKey),
        Some(name) => {
            let found = store::objects::find_named(reader, bucket, key, name).await?;
            (found, MetadataError::NoSuchVersion)
        }
    };
    let StoredVersion { object, is_delete_marker } = found.ok_or(missing)?;
    if is_delete_marker {
        return Err(MetadataError::DeleteMarker { name: object.name(), modified_at: object.modified_at });
    }
    Ok(object)
}

async fn resolve(
    reader: &mut Connection,
    object: &ObjectVersion,
    wanted: LookupRange,
) -> Result<ResolvedRange, MetadataError> {
    let whole = ResolvedRange::Satisfiable { start: 0, end: object.length };
    match wanted {
        LookupRange::Whole => Ok(whole),
        LookupRange::Bytes { first, last } => range::bytes(first, last, object.length)
            .ok_or_else(|| malformed("the range's last byte is before its first")),
        LookupRange::Suffix { length } => Ok(range::suffix(length, object.length)),
        LookupRange::Part { number: 1 } if object.part_count == 0 => Ok(whole),
        LookupRange::Part { number } => {
            let part = match object.content.list() {
                Some(list) => store::list_parts::find(reader, list, number).await?,
                None => None,
            };
            let part = part.ok_or(MetadataError::NoSuchPart { parts: object.part_count.max(1) })?;
            let (start, end) = (part.object_offset, part.object_offset.saturating_add(part.length));
            Ok(ResolvedRange::Satisfiable { start, end })
        }
    }
}

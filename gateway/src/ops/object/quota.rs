//! The check of quotas before the body is received.

use cairn_protocol::metadata::{
    BucketInfo, BucketRef, LookupObject, LookupRange, MetadataError, QuotaRoom, QuotaUnit, VersionName,
    Versioning,
};

use crate::access::Authorised;
use crate::error::S3Result;

/// Refuses a write that does not fit the quotas now, so that the client need not send its body. What the write replaces makes room.
/// The transaction that commits the write checks again, and that check decides. Without a quota it costs no call.
///
/// # Errors
/// `QuotaExceeded`.
pub(crate) async fn check_room(gateway: &Authorised, bucket: &str, key: &str, length: u64) -> S3Result<()> {
    if !gateway.has_quota() {
        return Ok(());
    }
    let info = gateway.metadata.get_bucket(BucketRef { bucket: bucket.to_owned() }).await?;
    if info.room.iter().all(|room| lacking(room, (1, length), (0, 0)).is_none()) {
        return Ok(());
    }
    let replaced = match info.versioning {
        Versioning::Enabled => Some((0, 0)),
        Versioning::Never | Versioning::Suspended => replaced(gateway, &info, key).await,
    };
    match replaced {
        Some(replaced) => refuse_without_room(&info.room, (1, length), replaced),
        None => Ok(()),
    }
}

/// The same for a part of this length, which is no object. `replaced` is the length of the part that has its number.
///
/// # Errors
/// `QuotaExceeded`.
pub(crate) fn check_room_of_part(info: &BucketInfo, length: u64, replaced: u64) -> S3Result<()> {
    refuse_without_room(&info.room, (0, length), (0, replaced))
}

/// What a write without versioning replaces: objects and bytes. `None` if that cannot be said, because the object is damaged or the
/// metanode does not answer: then the transaction decides.
async fn replaced(gateway: &Authorised, info: &BucketInfo, key: &str) -> Option<(u64, u64)> {
    let lookup = LookupObject {
        bucket: info.bucket.clone(),
        key: key.to_owned(),
        version: Some(VersionName::Null),
        range: LookupRange::Whole,
        extents_max: 0,
    };
    match gateway.metadata.lookup_object(lookup).await {
        Ok(located) => Some((1, located.object.length)),
        Err(MetadataError::DeleteMarker { .. }) => Some((1, 0)),
        Err(MetadataError::NoSuchKey | MetadataError::NoSuchVersion) => Some((0, 0)),
        Err(_) => None,
    }
}

fn refuse_without_room(rooms: &[QuotaRoom], added: (u64, u64), replaced: (u64, u64)) -> S3Result<()> {
    match rooms.iter().find_map(|room| Some((room.of, lacking(room, added, replaced)?))) {
        Some((of, unit)) => Err(MetadataError::QuotaExceeded { of, unit }.into()),
        None => Ok(()),
    }
}

/// What there is too little of, for a write that adds and replaces so many objects and bytes.
fn lacking(room: &QuotaRoom, added: (u64, u64), replaced: (u64, u64)) -> Option<QuotaUnit> {
    let lacks = |room: Option<u64>, added: u64, replaced: u64| {
        room.is_some_and(|room| added > replaced && added - replaced > room)
    };
    if lacks(room.bytes, added.1, replaced.1) {
        return Some(QuotaUnit::Bytes);
    }
    lacks(room.objects, added.0, replaced.0).then_some(QuotaUnit::Objects)
}

#[cfg(test)]
mod tests {
    use cairn_protocol::metadata::QuotaOf;

    use super::*;

    #[test]
    fn a_write_fits_if_what_it_adds_beyond_what_it_replaces_is_within_the_room() {
        let room = QuotaRoom { of: QuotaOf::Bucket, objects: Some(1), bytes: Some(10) };
        for (added, replaced, wanted) in [
            ((1, 10), (0, 0), None),
            ((1, 11), (0, 0), Some(QuotaUnit::Bytes)),
            ((1, 11), (1, 1), None),
            ((2, 0), (0, 0), Some(QuotaUnit::Objects)),
            ((0, u64::MAX), (0, 0), Some(QuotaUnit::Bytes)),
            // It may replace what is there beyond a quota that was lowered.
            ((1, 500), (1, 500), None),
        ] {
            assert_eq!(lacking(&room, added, replaced), wanted, "{added:?} {replaced:?}");
        }
        let unlimited = QuotaRoom { objects: None, bytes: None, ..room };
        assert_eq!(lacking(&unlimited, (u64::MAX, u64::MAX), (0, 0)), None);
    }
}

//! The check of a write's condition before the body is received.

use cairn_protocol::metadata::{LookupObject, LookupRange, MetadataError, WriteCondition};

use crate::access::Authorised;
use crate::error::{ErrorCode, S3Error, S3Result};

/// Refuses a write whose condition fails now, so that the client need not send its body. The transaction that commits
/// the write checks the condition again, and that check decides.
///
/// # Errors
/// `PreconditionFailed`, or `NoSuchKey` if an ETag is required of a key that has no object.
pub(crate) async fn precheck(
    gateway: &Authorised,
    bucket: &str,
    key: &str,
    condition: &WriteCondition,
) -> S3Result<()> {
    if *condition == WriteCondition::None {
        return Ok(());
    }
    let lookup = LookupObject {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version: None,
        range: LookupRange::Whole,
        extents_max: 0,
    };
    let etag = match gateway.metadata.lookup_object(lookup).await {
        Ok(located) => Some(located.object.etag),
        Err(MetadataError::NoSuchKey | MetadataError::DeleteMarker { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let failed = |name| Err(S3Error::new(ErrorCode::PreconditionFailed).detail("Condition", name));
    match (condition, etag) {
        (WriteCondition::None, _) | (WriteCondition::Absent, None) | (WriteCondition::Present, Some(_)) => {
            Ok(())
        }
        (WriteCondition::Absent, Some(_)) => failed("If-None-Match"),
        (WriteCondition::Present | WriteCondition::Etag(_), None) => Err(S3Error::new(ErrorCode::NoSuchKey)),
        (WriteCondition::Etag(wanted), Some(etag)) if *wanted == etag => Ok(()),
        (WriteCondition::Etag(_), Some(_)) => failed("If-Match"),
    }
}

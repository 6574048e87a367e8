//! What is looked at before a write's body is asked for.

use cairn_protocol::metadata::{LookupObject, LookupRange, MetadataError, WriteCondition};

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;

/// Refuses a write whose condition does not hold now, before its body is received. What decides is the
/// check in the transaction that commits it.
///
/// # Errors
/// `PreconditionFailed`, or `NoSuchKey` for an ETag of what is not there.
pub(crate) async fn precheck(
    gateway: &Gateway,
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
        Err(MetadataError::NoSuchKey) => None,
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

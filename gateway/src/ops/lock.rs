//! What operations on buckets, objects and uploads check for Object Lock.

use cairn_protocol::metadata::{BucketLock, BucketRef, MetadataError};

use crate::access::Authorised;
use crate::error::{S3Error, S3Result};
use crate::request::Request;

/// What the bucket of a request locks; `None` without Object Lock.
///
/// # Errors
/// `NoSuchBucket`.
pub(crate) async fn lock_of_bucket(gateway: &Authorised, request: &Request) -> S3Result<Option<BucketLock>> {
    let bucket = request.bucket()?.to_string();
    Ok(gateway.metadata.get_bucket(BucketRef { bucket }).await?.object_lock)
}

/// Checks that the bucket of a request about a lock has Object Lock.
///
/// # Errors
/// `InvalidRequest`, `NoSuchBucket`.
pub(crate) async fn require_object_lock(gateway: &Authorised, request: &Request) -> S3Result<()> {
    match lock_of_bucket(gateway, request).await? {
        Some(_) => Ok(()),
        None => Err(S3Error::invalid_request("Bucket is missing Object Lock Configuration")),
    }
}

/// Refuses bytes of a locked version without a digest: damage on the way could not be made good until the lock ends.
///
/// # Errors
/// `InvalidRequest`.
pub(crate) fn require_digest(has_digest: bool, what: &str) -> S3Result<()> {
    if has_digest {
        return Ok(());
    }
    Err(S3Error::invalid_request(format!(
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put {what} requests with Object Lock parameters"
    )))
}

/// Checks the head of an upload against Object Lock of its bucket, of which `bucket` is `None` without it. `asks` says whether the head
/// asks for a lock.
///
/// # Errors
/// `InvalidRequest`.
pub(crate) fn check_lock(bucket: Option<BucketLock>, asks: bool, has_digest: bool) -> S3Result<()> {
    match bucket {
        None if asks => Err(MetadataError::NoObjectLock.into()),
        Some(lock) if asks || lock.default_retention.is_some() => require_digest(has_digest, "Object"),
        None | Some(_) => Ok(()),
    }
}

/// Refuses a document without a digest, for operations for which AWS requires one.
///
/// # Errors
/// `InvalidRequest`.
pub(crate) fn require_document_digest(request: &Request) -> S3Result<()> {
    if request.payload_spec()?.has_digest() {
        return Ok(());
    }
    Err(S3Error::invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*"))
}

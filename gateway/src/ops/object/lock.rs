//! What operations on objects share about Object Lock: whether governance is bypassed, and the headers of answers.

use cairn_protocol::metadata::{BucketRef, ObjectVersion};

use crate::access::{self, Permission};
use crate::body::PayloadSpec;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::request::Request;
use crate::response::Response;
use crate::types::set_lock_headers;

/// The header with which a client wants to bypass governance.
pub(crate) const BYPASS_HEADER: &str = "x-amz-bypass-governance-retention";

/// Whether the caller has these permissions.
async fn is_allowed(gateway: &Gateway, request: &Request, needed: Permission) -> S3Result<bool> {
    match access::authorise(gateway, request, &[needed]).await {
        Ok(()) => Ok(true),
        Err(denied) if denied.code() == ErrorCode::AccessDenied => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the request wants to bypass governance. AWS refuses the header in buckets without Object Lock.
///
/// # Errors
/// `InvalidArgument` in a bucket without Object Lock; the metanode's.
pub(super) async fn wants_bypass(gateway: &Gateway, request: &Request) -> S3Result<bool> {
    let Some(value) = request.header(BYPASS_HEADER)? else { return Ok(false) };
    let info = gateway.metadata.get_bucket(BucketRef { bucket: request.bucket()?.to_string() }).await?;
    if info.object_lock.is_none() {
        return Err(S3Error::invalid_argument(
            BYPASS_HEADER,
            value,
            "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.",
        ));
    }
    Ok(value.eq_ignore_ascii_case("true"))
}

/// Whether the caller may bypass governance for an object. A caller who wants to and may not is treated as if the header were not
/// there: then a lock decides. The console of AWS sends the header with every delete.
///
/// # Errors
/// The metanode's.
pub(super) async fn may_bypass(gateway: &Gateway, request: &Request, key: &str) -> S3Result<bool> {
    let needed = Permission::on_object("s3:BypassGovernanceRetention", request.bucket()?.as_str(), key, None);
    is_allowed(gateway, request, needed).await
}

/// Sets the headers of a version's lock, as far as the caller may know it.
///
/// # Errors
/// The metanode's.
pub(super) async fn show_lock(
    gateway: &Gateway,
    request: &Request,
    object: &ObjectVersion,
    answer: &mut Response,
) -> S3Result<()> {
    let Some(lock) = object.attributes.lock else { return Ok(()) };
    let may = async |action| is_allowed(gateway, request, Permission::on_target(action, request)).await;
    let retention = match lock.retention {
        Some(retention) if may("s3:GetObjectRetention").await? => Some(retention),
        _ => None,
    };
    let legal_hold = match lock.legal_hold {
        Some(held) if may("s3:GetObjectLegalHold").await? => Some(held),
        _ => None,
    };
    set_lock_headers(answer.headers_mut(), retention, legal_hold);
    Ok(())
}

/// Refuses bytes of a locked version without a digest: damage on the way could not be made good until the lock ends.
///
/// # Errors
/// `InvalidRequest`.
pub(crate) fn require_digest(payload: &PayloadSpec, what: &str) -> S3Result<()> {
    if payload.has_digest() {
        return Ok(());
    }
    Err(S3Error::invalid_request(format!(
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put {what} requests with Object Lock parameters"
    )))
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

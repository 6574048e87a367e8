//! What operations on objects share about Object Lock: whether governance is bypassed, and the headers of answers.

use cairn_protocol::metadata::{ObjectVersion, Tags};

use crate::access::{Authorised, Permission, Permissions};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::ops::lock::lock_of_bucket;
use crate::request::Request;
use crate::response::Response;
use crate::types::set_lock_headers;

/// The header with which a client wants to bypass governance.
pub(crate) const BYPASS_HEADER: &str = "x-amz-bypass-governance-retention";

/// Whether the caller has another permission.
async fn is_allowed(gateway: &Authorised, needed: Permission) -> S3Result<bool> {
    match gateway.also(Permissions::one(needed), &Tags::new()).await {
        Ok(()) => Ok(true),
        Err(denied) if denied.code() == ErrorCode::AccessDenied => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the request wants to bypass governance. AWS refuses the header in buckets without Object Lock.
///
/// # Errors
/// `InvalidArgument` in a bucket without Object Lock; the metanode's.
pub(super) async fn wants_bypass(gateway: &Authorised, request: &Request) -> S3Result<bool> {
    let Some(value) = request.header(BYPASS_HEADER)? else { return Ok(false) };
    if lock_of_bucket(gateway, request).await?.is_none() {
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
pub(super) async fn may_bypass(gateway: &Authorised, request: &Request, key: &str) -> S3Result<bool> {
    let needed = Permission::on_object("s3:BypassGovernanceRetention", request.bucket()?.as_str(), key, None);
    is_allowed(gateway, needed).await
}

/// Sets the headers of a version's lock, as far as the caller may know it.
///
/// # Errors
/// The metanode's.
pub(super) async fn show_lock(
    gateway: &Authorised,
    request: &Request,
    object: &ObjectVersion,
    answer: &mut Response,
) -> S3Result<()> {
    let Some(lock) = object.attributes.lock else { return Ok(()) };
    let may = async |action| is_allowed(gateway, Permission::on_target(action, request)).await;
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

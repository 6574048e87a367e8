//! Headers and parameters that an operation does not declare.
//!
//! AWS ignores them, and so does Cairn, except for those below. A client that sends one of those wants a different
//! write from the one that would happen.

use crate::declaration::{Body, Declaration, Resource, Verb, When};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::route;

/// Headers that name the source or the target of a write. If one were ignored, another object would be written.
/// `x-amz-copy-source-range` and similar headers match by their prefix.
const SOURCES: [&str; 4] =
    ["x-amz-copy-source", "x-amz-rename-source", "x-amz-write-offset-bytes", "content-range"];

/// Conditions of a write. If one were ignored, the write would happen unconditionally.
const GUARDS: [&str; 6] = [
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "x-amz-if-match-",
    "x-amz-object-if-match",
];

/// The header by which clients ask for encryption.
const ENCRYPTION: &str = "x-amz-server-side-encryption";

/// Headers about checksums that are not checksums themselves.
const ABOUT_CHECKSUMS: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"];

/// Refuses an undeclared header that must not be ignored.
///
/// # Errors
/// `NotImplemented` with the header's name, or the error of AWS.
pub(super) fn check_header(declaration: &Declaration, name: &str, value: &str) -> S3Result<()> {
    let begins = |start: &&str| name.starts_with(start);
    let is_write = !declaration.is_read();
    // A client that sends one of Cairn's own headers relies on its effect.
    let is_own = name.starts_with("x-cairn-");
    if is_own || is_write && (SOURCES.iter().any(begins) || GUARDS.iter().any(begins)) {
        return Err(S3Error::new(ErrorCode::NotImplemented).detail("Header", name));
    }
    // AWS refuses it on operations that do not define it, so that no client assumes an encryption that does not happen.
    // On writes of objects the related headers are refused too.
    let is_object_write = is_write && declaration.resource == Resource::Object;
    if name == ENCRYPTION || is_object_write && name.starts_with(ENCRYPTION) {
        let words = format!("{name} header is not supported for this operation.");
        return Err(S3Error::invalid_argument(name, value, words));
    }
    let is_checksum = name.starts_with("x-amz-checksum-") && !ABOUT_CHECKSUMS.contains(&name);
    if is_checksum && declaration.body != Body::Nothing {
        // The client would assume that its body was verified.
        return Err(S3Error::invalid_request(
            "The algorithm type you specified in x-amz-checksum- header is invalid.",
        ));
    }
    Ok(())
}

/// Refuses an undeclared query parameter that must not be ignored.
///
/// # Errors
/// `InvalidArgument` for a parameter of AWS that does not apply here, else `NotImplemented` with the parameter's name.
pub(super) fn check_parameter(declaration: &Declaration, name: &str, value: &str) -> S3Result<()> {
    if name.starts_with("response-") && declaration.parameter("response-content-type").is_some() {
        return Err(S3Error::invalid_argument(
            name,
            value,
            "The header that is to be overridden is not one that can be.",
        ));
    }
    let is_selector = route::is_selector(name);
    if is_selector {
        check_selector(declaration.method, declaration.resource, name, value)?;
    }
    // A header that the operation declares. In the query it counts only if the query contains the signature, and then
    // it was moved to the headers before.
    let is_header = declaration.header(&name.to_ascii_lowercase()).is_some() && name.starts_with("x-amz-");
    if declaration.is_read() && !is_selector && !is_header {
        return Ok(());
    }
    Err(S3Error::not_implemented(format!(
        "The query parameter {name:?} implies functionality that is not implemented for this request"
    ))
    .detail("Parameter", name))
}

/// Refuses a selector of another operation with this method and resource. It did not select that operation, because its
/// value is wrong or a second selector is missing.
fn check_selector(method: Verb, resource: Resource, name: &str, value: &str) -> S3Result<()> {
    let operations = route::declarations()
        .filter(|other| other.method == method && other.resource == resource && other.has_subresource(name));
    for operation in operations {
        for when in operation.when {
            match when {
                When::QueryIs(selector, wanted) if *selector == name && *wanted != value => {
                    return Err(S3Error::invalid_argument(name, value, format!("{name} must be {wanted}.")));
                }
                When::Query(selector) | When::QueryIs(selector, _) if *selector != name => {
                    return Err(S3Error::invalid_argument(
                        name,
                        value,
                        format!("This operation does not accept {name} without {selector}."),
                    ));
                }
                When::Query(_) | When::QueryIs(..) | When::With(_) | When::Header(_) => {}
            }
        }
    }
    Ok(())
}

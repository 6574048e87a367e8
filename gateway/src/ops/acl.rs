//! Access control lists. The owner has full control, and no other account has any permission.
//!
//! A request that sets exactly this ACL succeeds, because it changes nothing. Any other ACL is refused with
//! `NotImplemented`: to accept it and ignore it would grant less, or protect less, than the client believes.
//! GetBucketAcl and GetObjectAcl return the one ACL.

use bytes::Bytes;
use http::HeaderMap;

use crate::declaration::grants::no_grants;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::request::{Request, RequestBody};
use crate::types::{OWNER_ID, write_identity, write_owner};
use crate::xml::{Element, NAMESPACE, XmlWriter};

/// Writes the only ACL: full control for the owner.
pub(super) fn write_acl() -> Bytes {
    const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
    XmlWriter::document("AccessControlPolicy", Some(NAMESPACE), |xml| {
        write_owner(xml);
        xml.element("AccessControlList", |xml| {
            xml.element("Grant", |xml| {
                let user = [("xmlns:xsi", INSTANCE), ("xsi:type", "CanonicalUser")];
                xml.element_with("Grantee", &user, write_identity);
                xml.text("Permission", "FULL_CONTROL");
            });
        });
    })
}

/// Refuses a request with both a canned ACL and grant headers. AWS refuses it too and does not choose between them.
///
/// # Errors
/// `InvalidRequest`.
pub(super) fn check_one_way(headers: &HeaderMap) -> S3Result<()> {
    let grants = headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-"));
    if grants && headers.contains_key("x-amz-acl") {
        return Err(S3Error::invalid_request("Specifying both Canned ACLs and Header Grants is not allowed"));
    }
    Ok(())
}

/// Checks that PutBucketAcl or PutObjectAcl sets the one supported ACL. `declaration::groups` has already checked the
/// values of the headers; this function checks that there is one ACL, in the headers or in the document, and checks the
/// document.
///
/// # Errors
/// `MissingSecurityHeader` if there is no ACL, `UnexpectedContent` if there are two, `MalformedACLError`,
/// `AccessDenied` for another owner, `NotImplemented` for another ACL.
pub(super) async fn check_put(request: &Request, body: RequestBody) -> S3Result<()> {
    check_one_way(&request.headers)?;
    let names = request.headers.keys().map(http::HeaderName::as_str);
    let in_headers = names.into_iter().any(|name| name == "x-amz-acl" || name.starts_with("x-amz-grant-"));
    let document = body.optional_document(request, "AccessControlPolicy").await.map_err(malformed)?;
    match document {
        None if in_headers => Ok(()),
        None => Err(S3Error::new(ErrorCode::MissingSecurityHeader).detail("MissingHeaderName", "x-amz-acl")),
        Some(_) if in_headers => Err(S3Error::new(ErrorCode::UnexpectedContent)),
        Some(document) => check_document(&document).map_err(malformed),
    }
}

fn check_document(document: &Element) -> S3Result<()> {
    let owner = document.required("Owner")?.required("ID")?.trimmed()?;
    if owner != OWNER_ID {
        return Err(S3Error::new(ErrorCode::AccessDenied));
    }
    let list = document.required("AccessControlList")?;
    if list.children().is_empty() {
        return Err(no_grants());
    }
    list.children().iter().try_for_each(check_grant)
}

fn check_grant(grant: &Element) -> S3Result<()> {
    let grantee = grant.required("Grantee")?.required("ID")?.trimmed()?;
    match grant.required("Permission")?.trimmed()? {
        "FULL_CONTROL" if grantee == OWNER_ID => Ok(()),
        "FULL_CONTROL" | "READ" | "WRITE" | "READ_ACP" | "WRITE_ACP" => Err(no_grants()),
        _ => Err(S3Error::new(ErrorCode::MalformedXML)),
    }
}

fn malformed(error: S3Error) -> S3Error {
    if error.code() == ErrorCode::MalformedXML { S3Error::new(ErrorCode::MalformedACLError) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse;

    fn code(document: &str) -> Option<ErrorCode> {
        let document = parse(document.as_bytes(), "AccessControlPolicy");
        let checked = document.and_then(|document| check_document(&document)).map_err(malformed);
        checked.err().map(|error| error.code())
    }

    fn policy(owner: &str, grantee: &str, permission: &str) -> String {
        format!(
            "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant>\
             <Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant></AccessControlList>\
             </AccessControlPolicy>"
        )
    }

    #[test]
    fn the_acl_that_is_shown_can_be_set_and_no_other() {
        let shown = write_acl();
        assert_eq!(code(std::str::from_utf8(&shown).unwrap()), None);
        let owner = format!("<ID>{OWNER_ID}</ID>");
        assert_eq!(code(&policy(OWNER_ID, &owner, "FULL_CONTROL")), None);
        let missing = Some(ErrorCode::NotImplemented);
        assert_eq!(code(&policy(OWNER_ID, &owner, "READ")), missing);
        assert_eq!(code(&policy(OWNER_ID, "<ID>another</ID>", "FULL_CONTROL")), missing);
        assert_eq!(code(&policy("another", &owner, "FULL_CONTROL")), Some(ErrorCode::AccessDenied));
        let malformed = Some(ErrorCode::MalformedACLError);
        assert_eq!(code(&policy(OWNER_ID, &owner, "EVERYTHING")), malformed);
        assert_eq!(code("<AccessControlPolicy/>"), malformed);
        assert_eq!(code("<AccessControlPolicy>"), malformed);
        assert_eq!(code("<Tagging/>"), malformed);
    }
}

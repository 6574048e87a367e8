//! Access control lists in requests and answers: canned ones, headers that grant, and documents.
//!
//! Source: S3 User Guide, "Access control list (ACL) overview" and "Controlling ownership of objects and disabling ACLs for your
//! bucket".

use bytes::Bytes;
use cairn_policy::acl::{Acl, AclPermission, Canned, GRANTS_MAX, Grant, Grantee};
use cairn_protocol::metadata::{Account, FindPrincipals, ObjectAccess, PrincipalName};
use http::HeaderMap;

use crate::access::Authorised;
use crate::access::bucket::Rules;
use crate::access::documents::{Document, Ownership};
use crate::declaration::grants::{NamedGrantee, parse_grantees};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;
use crate::request::{Request, RequestBody};
use crate::types::{write_identity, write_owner};
use crate::xml::{Element, NAMESPACE, XmlWriter};

/// Who sets an ACL in a bucket in which ACLs do not count. AWS accepts full control for the owner of the bucket there, in any form. From
/// the owner's own account `private` is such a form for an object, and clients send it with every object (rclone). For a bucket AWS
/// refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// The account of the bucket, for an object.
    BucketOwner,
    /// Another account, or anyone for a bucket.
    Other,
}

impl Writer {
    /// The writer of an object in a bucket of this account.
    pub(super) fn of_object(request: &Request, bucket_owner: &Account) -> Self {
        let is_owner = request.caller.account().is_some_and(|account| account.id == bucket_owner.id);
        if is_owner { Self::BucketOwner } else { Self::Other }
    }
}

/// The ACL that a request sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestedAcl {
    /// By name.
    Canned(Canned),
    /// Grant by grant.
    Grants(Vec<Grant>),
}

/// The headers that grant permissions.
const GRANT_HEADERS: [(&str, AclPermission); 5] = [
    ("x-amz-grant-full-control", AclPermission::FullControl),
    ("x-amz-grant-read", AclPermission::Read),
    ("x-amz-grant-write", AclPermission::Write),
    ("x-amz-grant-read-acp", AclPermission::ReadAcp),
    ("x-amz-grant-write-acp", AclPermission::WriteAcp),
];

impl RequestedAcl {
    /// The ACL in the headers, if there is one.
    ///
    /// # Errors
    /// `InvalidRequest` for a canned ACL with grants beside it, `InvalidArgument` for a group that does not exist, and
    /// `MethodNotAllowed` for a grantee by email address.
    pub(super) fn parse(headers: &HeaderMap) -> S3Result<Option<Self>> {
        let canned = single(headers, "x-amz-acl")?;
        let mut grants = Vec::new();
        for (name, permission) in GRANT_HEADERS {
            let Some(value) = single(headers, name)? else { continue };
            for named in parse_grantees(name, value)? {
                let grantee = match named {
                    NamedGrantee::Id(id) => Grantee::Account(id.to_owned()),
                    NamedGrantee::Uri(uri) => group(uri)?,
                    NamedGrantee::Email => return Err(no_email()),
                };
                grants.push(Grant { grantee, permission });
            }
        }
        match canned {
            Some(_) if !grants.is_empty() => {
                Err(S3Error::invalid_request("Specifying both Canned ACLs and Header Grants is not allowed"))
            }
            Some(name) => {
                let wrong = || S3Error::invalid_argument("x-amz-acl", name, "");
                Canned::parse(name).map(Self::Canned).map(Some).ok_or_else(wrong)
            }
            None => Ok(Some(grants).filter(|grants| !grants.is_empty()).map(Self::Grants)),
        }
    }

    /// The ACL of PutBucketAcl or PutObjectAcl, in the headers or in the document. `owner` owns what it is for.
    ///
    /// # Errors
    /// `MissingSecurityHeader` if there is no ACL, `UnexpectedContent` if there are two, `MalformedACLError`, `AccessDenied` for another
    /// owner, and those of [`parse`](Self::parse).
    pub(super) async fn read(request: &Request, body: RequestBody, owner: &Account) -> S3Result<Self> {
        let in_headers = Self::parse(&request.headers)?;
        let document = body.optional_document(request, "AccessControlPolicy").await.map_err(malformed)?;
        match (in_headers, document) {
            (Some(acl), None) => Ok(acl),
            (None, Some(document)) => read_document(&document, owner).map(Self::Grants).map_err(malformed),
            (Some(_), Some(_)) => Err(S3Error::new(ErrorCode::UnexpectedContent)),
            (None, None) => {
                Err(S3Error::new(ErrorCode::MissingSecurityHeader).detail("MissingHeaderName", "x-amz-acl"))
            }
        }
    }

    /// Whether it grants something to the public.
    pub(super) fn is_public(&self) -> bool {
        self.acl(&Account::first(), &Account::first()).is_public()
    }

    /// The grants, for an owner, and the owner of the bucket in which the object is.
    pub(super) fn acl(&self, owner: &Account, bucket_owner: &Account) -> Acl {
        match self {
            Self::Canned(canned) => canned.acl(&owner.canonical_id, &bucket_owner.canonical_id),
            Self::Grants(grants) => Acl { grants: grants.clone() },
        }
    }

    /// Whether it gives full control to the owner of the bucket and nothing else.
    fn is_bucket_owner_full_control(&self, bucket_owner: &Account) -> bool {
        match self {
            Self::Canned(canned) => *canned == Canned::BucketOwnerFullControl,
            Self::Grants(grants) => *grants == Acl::private(&bucket_owner.canonical_id).grants,
        }
    }

    /// The ACL that is stored, if the bucket's settings let it be set.
    ///
    /// # Errors
    /// `AccessControlListNotSupported`, `AccessDenied` for a public ACL that is blocked, `InvalidArgument` for an account that does not
    /// exist, `InvalidRequest` for too many grants.
    pub(super) async fn checked(
        &self,
        gateway: &Authorised,
        rules: &Rules,
        owner: &Account,
        bucket_owner: &Account,
        writer: Writer,
    ) -> S3Result<Acl> {
        if !rules.has_acls() {
            let is_private = *self == Self::Canned(Canned::Private) && writer == Writer::BucketOwner;
            if is_private || self.is_bucket_owner_full_control(bucket_owner) {
                return Ok(Acl::private(&bucket_owner.canonical_id));
            }
            return Err(S3Error::new(ErrorCode::AccessControlListNotSupported));
        }
        let acl = self.acl(owner, bucket_owner);
        if rules.blocks.block_public_acls && acl.is_public() {
            return Err(S3Error::with_message(
                ErrorCode::AccessDenied,
                "Access Denied: public ACLs are blocked by the BlockPublicAcls block public access setting.",
            ));
        }
        check_grantees(gateway, &acl, &[owner, bucket_owner]).await?;
        Ok(acl)
    }
}

/// Checks that an ACL is not too long, and that the accounts that it names exist. Those in `known` do.
///
/// # Errors
/// `InvalidArgument` for an account that does not exist, `InvalidRequest` for too many grants.
pub(super) async fn check_grantees(gateway: &Authorised, acl: &Acl, known: &[&Account]) -> S3Result<()> {
    if acl.grants.len() > GRANTS_MAX {
        return Err(S3Error::invalid_request("The ACL has more than 100 grants."));
    }
    let mut unknown: Vec<&str> = Vec::new();
    for grant in &acl.grants {
        if let Grantee::Account(id) = &grant.grantee
            && !known.iter().any(|account| account.canonical_id == *id)
        {
            unknown.push(id);
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = unknown.iter().map(|id| PrincipalName::CanonicalUser((*id).to_owned())).collect();
    let found = gateway.metadata.find_principals(FindPrincipals { names }).await?;
    match unknown.into_iter().find(|id| !found.iter().any(|found| found.account.canonical_id == **id)) {
        Some(id) => Err(S3Error::invalid_argument("CanonicalUser/ID", id, "Invalid id")),
        None => Ok(()),
    }
}

/// Owner and ACL of an object that a request writes, as they are stored.
///
/// # Errors
/// Those of [`RequestedAcl::parse`] and [`RequestedAcl::checked`].
pub(super) async fn of_new_object(
    gateway: &Authorised,
    request: &Request,
) -> S3Result<Option<Box<ObjectAccess>>> {
    let requested = RequestedAcl::parse(&request.headers)?;
    let bucket = match requested {
        // It may be refused, so only the present settings count.
        Some(_) => gateway.bucket().await?,
        None => gateway.bucket_of_owner()?,
    };
    if requested.is_none() && !bucket.has_acls() {
        return Ok(None);
    }
    let rules = bucket.rules().ok_or_else(|| S3Error::internal("a bucket without rules was written to"))?;
    let bucket_owner = &bucket.info.owner;
    let given_up = requested.as_ref().is_some_and(|acl| acl.is_bucket_owner_full_control(bucket_owner));
    let owner = match rules.ownership() {
        Ownership::BucketOwnerEnforced => bucket_owner.clone(),
        Ownership::BucketOwnerPreferred if given_up => bucket_owner.clone(),
        Ownership::BucketOwnerPreferred | Ownership::ObjectWriter => request.caller.owner(),
    };
    let acl = match requested {
        Some(requested) => {
            requested
                .checked(gateway, rules, &owner, bucket_owner, Writer::of_object(request, bucket_owner))
                .await?
        }
        None => Acl::private(&owner.canonical_id),
    };
    Ok(stored(&owner, bucket_owner, &acl))
}

/// Owner and ACL as they are stored: nothing, if they are what every object has.
pub(super) fn stored(owner: &Account, bucket_owner: &Account, acl: &Acl) -> Option<Box<ObjectAccess>> {
    let access = ObjectAccess {
        owner: (owner.canonical_id != bucket_owner.canonical_id).then(|| owner.clone()),
        acl: (*acl != Acl::private(&owner.canonical_id)).then(|| acl.write()),
    };
    (access != ObjectAccess::default()).then(|| Box::new(access))
}

/// Writes an ACL. The names of other accounts than the owner are not known, and clients do without.
pub(super) fn write_acl(owner: &Account, acl: &Acl) -> Bytes {
    const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
    XmlWriter::document("AccessControlPolicy", Some(NAMESPACE), |xml| {
        write_owner(xml, owner);
        xml.element("AccessControlList", |xml| {
            for Grant { grantee, permission } in &acl.grants {
                xml.element("Grant", |xml| {
                    let kind = if grantee.uri().is_some() { "Group" } else { "CanonicalUser" };
                    let attributes = [("xmlns:xsi", INSTANCE), ("xsi:type", kind)];
                    xml.element_with("Grantee", &attributes, |xml| match (grantee, grantee.uri()) {
                        (_, Some(uri)) => xml.text("URI", uri),
                        (Grantee::Account(id), None) if *id == owner.canonical_id => {
                            write_identity(xml, owner)
                        }
                        (Grantee::Account(id), None) => xml.text("ID", id),
                        (_, None) => {}
                    });
                    xml.text("Permission", permission.name());
                });
            }
        });
    })
}

fn group(uri: &str) -> S3Result<Grantee> {
    Grantee::of_uri(uri).ok_or_else(|| S3Error::invalid_argument("Group/URI", uri, "Invalid group uri"))
}

/// S3 API Reference, "PutObjectAcl": since October 2025 no ACL can be made that names a grantee by email address.
fn no_email() -> S3Error {
    S3Error::with_message(
        ErrorCode::MethodNotAllowed,
        "Grantees by email address are not supported any more. Use the canonical user id.",
    )
}

fn read_document(document: &Element, owner: &Account) -> S3Result<Vec<Grant>> {
    if document.required("Owner")?.required("ID")?.trimmed()? != owner.canonical_id {
        return Err(S3Error::new(ErrorCode::AccessDenied));
    }
    let list = document.required("AccessControlList")?;
    list.children().iter().map(read_grant).collect()
}

fn read_grant(grant: &Element) -> S3Result<Grant> {
    let named = grant.required("Grantee")?;
    let wrong = || S3Error::new(ErrorCode::MalformedXML);
    let grantee = match (named.optional("ID")?, named.optional("URI")?, named.optional("EmailAddress")?) {
        (Some(id), None, None) => Grantee::Account(id.trimmed()?.to_owned()),
        (None, Some(uri), None) => group(uri.trimmed()?)?,
        (None, None, Some(_)) => return Err(no_email()),
        _ => return Err(wrong()),
    };
    let permission = AclPermission::parse(grant.required("Permission")?.trimmed()?).ok_or_else(wrong)?;
    Ok(Grant { grantee, permission })
}

fn malformed(error: S3Error) -> S3Error {
    if error.code() == ErrorCode::MalformedXML { S3Error::new(ErrorCode::MalformedACLError) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse;
    use http::{HeaderName, HeaderValue};

    fn read(document: &[u8]) -> S3Result<Vec<Grant>> {
        let document = parse(document, "AccessControlPolicy");
        document.and_then(|document| read_document(&document, &Account::first())).map_err(malformed)
    }

    fn policy(owner: &str, grantee: &str, permission: &str) -> Vec<u8> {
        format!(
            "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant>\
             <Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant></AccessControlList>\
             </AccessControlPolicy>"
        )
        .into_bytes()
    }

    #[test]
    fn an_acl_that_is_shown_can_be_set() {
        let owner = Account::first();
        for (canned, _) in Canned::NAMES {
            let acl = canned.acl(&owner.canonical_id, "another");
            assert_eq!(read(&write_acl(&owner, &acl)).unwrap(), acl.grants, "{canned:?}");
        }
    }

    #[test]
    fn documents_that_are_wrong_are_refused() {
        let owner = Account::first().canonical_id;
        let code = |document: Vec<u8>| read(&document).unwrap_err().code();
        let id = format!("<ID>{owner}</ID>");
        let malformed = ErrorCode::MalformedACLError;
        assert_eq!(code(policy("another", &id, "READ")), ErrorCode::AccessDenied);
        assert_eq!(code(policy(&owner, &id, "EVERYTHING")), malformed);
        assert_eq!(code(policy(&owner, "", "READ")), malformed);
        assert_eq!(code(policy(&owner, &format!("{id}<URI>x</URI>"), "READ")), malformed);
        assert_eq!(code(policy(&owner, "<URI>everyone</URI>", "READ")), ErrorCode::InvalidArgument);
        let email = "<EmailAddress>a@example.com</EmailAddress>";
        assert_eq!(code(policy(&owner, email, "READ")), ErrorCode::MethodNotAllowed);
        for text in ["<AccessControlPolicy/>", "<AccessControlPolicy>", "<Tagging/>"] {
            assert_eq!(code(text.as_bytes().to_vec()), malformed, "{text}");
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn headers_hold_a_canned_acl_or_grants_and_not_both() {
        let parse = |pairs: &[(&'static str, &str)]| RequestedAcl::parse(&headers(pairs));
        assert_eq!(parse(&[]).unwrap(), None);
        let canned = parse(&[("x-amz-acl", "public-read")]).unwrap();
        assert_eq!(canned, Some(RequestedAcl::Canned(Canned::PublicRead)));
        let all = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"";
        let Some(RequestedAcl::Grants(grants)) =
            parse(&[("x-amz-grant-read", all), ("x-amz-grant-full-control", "id=o,id=p")]).unwrap()
        else {
            panic!("no grants")
        };
        assert_eq!(grants.len(), 3);
        assert!(grants.contains(&Grant { grantee: Grantee::AllUsers, permission: AclPermission::Read }));
        let code = |pairs: &[(&'static str, &str)]| parse(pairs).unwrap_err().code();
        assert_eq!(
            code(&[("x-amz-acl", "private"), ("x-amz-grant-read", "id=1")]),
            ErrorCode::InvalidRequest
        );
        assert_eq!(code(&[("x-amz-grant-read", "emailAddress=a@b")]), ErrorCode::MethodNotAllowed);
        assert_eq!(code(&[("x-amz-grant-read", "uri=everyone")]), ErrorCode::InvalidArgument);
    }

    #[test]
    fn what_every_object_has_is_not_stored() {
        let owner = Account::first();
        let other = Account { id: "1".into(), canonical_id: "c".into(), display_name: "o".into() };
        assert_eq!(stored(&owner, &owner, &Acl::private(&owner.canonical_id)), None);
        let foreign = stored(&other, &owner, &Acl::private("c")).unwrap();
        assert_eq!((foreign.owner.as_ref(), foreign.acl.as_ref()), (Some(&other), None));
        let public = Canned::PublicRead.acl(&owner.canonical_id, &owner.canonical_id);
        let public = stored(&owner, &owner, &public).unwrap();
        assert!(public.owner.is_none() && public.acl.is_some());
    }
}

//! Access control lists of buckets and objects, and what they grant.
//!
//! Source: S3 User Guide, "Access control list (ACL) overview": "Who is a grantee?", "What permissions can I grant?", "Mapping of
//! ACL permissions and access policy permissions", "Canned ACL".

use serde::{Deserialize, Serialize};

use crate::principal::{Named, Principal};

/// The largest number of grants in an ACL (S3 User Guide, "Access control list (ACL) overview": up to 100 grants).
pub const GRANTS_MAX: usize = 100;

/// The owner id of requests without a signature, and of the objects that they make.
pub const ANONYMOUS_ID: &str = "65a011a29cdf8ec533ec3d1ccaae921c";

/// What an ACL grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AclPermission {
    /// Everything below.
    FullControl,
    /// To list a bucket, or to read an object.
    Read,
    /// To write objects into a bucket. It has no meaning for an object.
    Write,
    /// To read the ACL.
    ReadAcp,
    /// To write the ACL.
    WriteAcp,
}

impl AclPermission {
    /// Every permission.
    pub const ALL: [Self; 5] = [Self::FullControl, Self::Read, Self::Write, Self::ReadAcp, Self::WriteAcp];

    /// The name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullControl => "FULL_CONTROL",
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
        }
    }

    /// The permission of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }

    fn includes(self, needed: Self) -> bool {
        self == Self::FullControl || self == needed
    }
}

/// Who is granted something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Grantee {
    /// An account, by its owner id.
    Account(String),
    /// Everyone, anonymous requests included.
    AllUsers,
    /// Every account.
    AuthenticatedUsers,
    /// The service that writes access logs. No request comes from it here.
    LogDelivery,
}

impl Grantee {
    const GROUPS: [(Self, &'static str); 3] = [
        (Self::AllUsers, "http://acs.amazonaws.com/groups/global/AllUsers"),
        (Self::AuthenticatedUsers, "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"),
        (Self::LogDelivery, "http://acs.amazonaws.com/groups/s3/LogDelivery"),
    ];

    /// The group of this URI.
    pub fn of_uri(uri: &str) -> Option<Self> {
        Self::GROUPS.into_iter().find(|(_, known)| *known == uri).map(|(group, _)| group)
    }

    /// The URI of a group; `None` for an account.
    pub fn uri(&self) -> Option<&'static str> {
        Self::GROUPS.iter().find(|(group, _)| group == self).map(|(_, uri)| *uri)
    }

    /// Whether everyone who has an account, or even everyone, is granted something: what AWS calls public.
    pub fn is_public(&self) -> bool {
        matches!(self, Self::AllUsers | Self::AuthenticatedUsers)
    }

    /// How the grantee names a sender.
    fn names(&self, sender: &Requester<'_>) -> Named {
        match self {
            Self::Account(id) if sender.canonical_id != Some(id) => Named::Not,
            // An account that is granted something lets its own policies decide.
            Self::Account(_) => Named::ByAccount,
            Self::AllUsers => Named::Indirectly,
            Self::AuthenticatedUsers if *sender.principal == Principal::Anonymous => Named::Not,
            Self::AuthenticatedUsers => Named::Indirectly,
            Self::LogDelivery => Named::Not,
        }
    }
}

/// The sender of a request, as ACLs see it.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The sender.
    pub principal: &'a Principal,
    /// The owner id of its account.
    pub canonical_id: Option<&'a str>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// To whom.
    pub grantee: Grantee,
    /// What.
    pub permission: AclPermission,
}

/// An access control list, without its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl {
    /// The entries.
    pub grants: Vec<Grant>,
}

/// What an ACL belongs to. The same permission means different actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclOf {
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// The permission of an ACL that allows an action, by the table of the page; `None` for an action that no ACL allows.
pub fn needed_for(action: &str) -> Option<(AclOf, AclPermission)> {
    Some(match action {
        "s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads" => {
            (AclOf::Bucket, AclPermission::Read)
        }
        "s3:PutObject" => (AclOf::Bucket, AclPermission::Write),
        "s3:GetBucketAcl" => (AclOf::Bucket, AclPermission::ReadAcp),
        "s3:PutBucketAcl" => (AclOf::Bucket, AclPermission::WriteAcp),
        "s3:GetObject" | "s3:GetObjectVersion" => (AclOf::Object, AclPermission::Read),
        "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => (AclOf::Object, AclPermission::ReadAcp),
        "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => (AclOf::Object, AclPermission::WriteAcp),
        _ => return None,
    })
}

impl Acl {
    /// The ACL that gives an account full control and nobody else anything.
    pub fn private(owner: &str) -> Self {
        Self {
            grants: vec![Grant {
                grantee: Grantee::Account(owner.to_owned()),
                permission: AclPermission::FullControl,
            }],
        }
    }

    /// Whether someone is granted something who is not one account: AWS refuses such an ACL under `BlockPublicAcls` and does not
    /// look at these entries under `IgnorePublicAcls`.
    pub fn is_public(&self) -> bool {
        self.grants.iter().any(|grant| grant.grantee.is_public())
    }

    /// How an ACL of this kind names a sender in what it grants for an action. `ignore_public` is `IgnorePublicAcls`.
    pub fn grants(&self, of: AclOf, action: &str, sender: &Requester<'_>, ignore_public: bool) -> Named {
        let Some((needed_of, needed)) = needed_for(action) else { return Named::Not };
        if needed_of != of {
            return Named::Not;
        }
        let counting = self.grants.iter().filter(|grant| {
            grant.permission.includes(needed) && !(ignore_public && grant.grantee.is_public())
        });
        counting.map(|grant| grant.grantee.names(sender)).max().unwrap_or(Named::Not)
    }
}

/// A canned ACL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canned {
    /// `private`.
    Private,
    /// `public-read`.
    PublicRead,
    /// `public-read-write`.
    PublicReadWrite,
    /// `authenticated-read`.
    AuthenticatedRead,
    /// `aws-exec-read`: Amazon EC2, which does not exist here, may read.
    AwsExecRead,
    /// `bucket-owner-read`.
    BucketOwnerRead,
    /// `bucket-owner-full-control`.
    BucketOwnerFullControl,
    /// `log-delivery-write`.
    LogDeliveryWrite,
}

impl Canned {
    /// Every canned ACL with its name.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::Private, "private"),
        (Self::PublicRead, "public-read"),
        (Self::PublicReadWrite, "public-read-write"),
        (Self::AuthenticatedRead, "authenticated-read"),
        (Self::AwsExecRead, "aws-exec-read"),
        (Self::BucketOwnerRead, "bucket-owner-read"),
        (Self::BucketOwnerFullControl, "bucket-owner-full-control"),
        (Self::LogDeliveryWrite, "log-delivery-write"),
    ];

    /// The canned ACL of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(_, known)| *known == name).map(|(canned, _)| canned)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(canned, _)| *canned == self).map_or("", |(_, name)| name)
    }

    /// The grants for an owner, and for the owner of the bucket in which an object is. For a bucket both are the same.
    pub fn acl(self, owner: &str, bucket_owner: &str) -> Acl {
        use AclPermission::{FullControl, Read, ReadAcp, Write};
        let mut acl = Acl::private(owner);
        let mut grant = |grantee: Grantee, permission| acl.grants.push(Grant { grantee, permission });
        match self {
            Self::Private | Self::AwsExecRead => {}
            Self::PublicRead => grant(Grantee::AllUsers, Read),
            Self::PublicReadWrite => {
                grant(Grantee::AllUsers, Read);
                grant(Grantee::AllUsers, Write);
            }
            Self::AuthenticatedRead => grant(Grantee::AuthenticatedUsers, Read),
            Self::BucketOwnerRead | Self::BucketOwnerFullControl if owner == bucket_owner => {}
            Self::BucketOwnerRead => grant(Grantee::Account(bucket_owner.to_owned()), Read),
            Self::BucketOwnerFullControl => grant(Grantee::Account(bucket_owner.to_owned()), FullControl),
            Self::LogDeliveryWrite => {
                grant(Grantee::LogDelivery, Write);
                grant(Grantee::LogDelivery, ReadAcp);
            }
        }
        acl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "owner";
    const OTHER: &str = "other";

    fn named(acl: &Acl, of: AclOf, action: &str, id: Option<&str>, ignore: bool) -> Named {
        let principal = match id {
            Some(_) => Principal::Root { account: "123456789012".into() },
            None => Principal::Anonymous,
        };
        acl.grants(of, action, &Requester { principal: &principal, canonical_id: id }, ignore)
    }

    /// The tables "What permissions can I grant?" and "Canned ACL".
    #[test]
    fn canned_acls_grant_what_the_page_says() {
        let everyone = Named::Indirectly;
        for (canned, of, action, owner, other, anonymous) in [
            (Canned::Private, AclOf::Object, "s3:GetObject", Named::ByAccount, Named::Not, Named::Not),
            (Canned::PublicRead, AclOf::Object, "s3:GetObject", everyone, everyone, everyone),
            (Canned::PublicRead, AclOf::Object, "s3:GetObjectVersion", everyone, everyone, everyone),
            (Canned::PublicRead, AclOf::Object, "s3:GetObjectAcl", Named::ByAccount, Named::Not, Named::Not),
            (Canned::PublicRead, AclOf::Object, "s3:GetObjectTagging", Named::Not, Named::Not, Named::Not),
            (Canned::PublicRead, AclOf::Bucket, "s3:ListBucket", everyone, everyone, everyone),
            (Canned::PublicRead, AclOf::Bucket, "s3:GetObject", Named::Not, Named::Not, Named::Not),
            (Canned::PublicRead, AclOf::Bucket, "s3:PutObject", Named::ByAccount, Named::Not, Named::Not),
            (Canned::PublicReadWrite, AclOf::Bucket, "s3:PutObject", everyone, everyone, everyone),
            (
                Canned::PublicReadWrite,
                AclOf::Bucket,
                "s3:PutBucketAcl",
                Named::ByAccount,
                Named::Not,
                Named::Not,
            ),
            (
                Canned::PublicReadWrite,
                AclOf::Bucket,
                "s3:PutBucketPolicy",
                Named::Not,
                Named::Not,
                Named::Not,
            ),
            (Canned::AuthenticatedRead, AclOf::Bucket, "s3:ListBucket", everyone, everyone, Named::Not),
            (
                Canned::LogDeliveryWrite,
                AclOf::Bucket,
                "s3:PutObject",
                Named::ByAccount,
                Named::Not,
                Named::Not,
            ),
            (Canned::AwsExecRead, AclOf::Object, "s3:GetObject", Named::ByAccount, Named::Not, Named::Not),
        ] {
            let acl = canned.acl(OWNER, OWNER);
            for (id, expected) in [(Some(OWNER), owner), (Some(OTHER), other), (None, anonymous)] {
                assert_eq!(named(&acl, of, action, id, false), expected, "{canned:?} {action} {id:?}");
                let ignored = if expected == everyone && id != Some(OWNER) {
                    Named::Not
                } else {
                    expected.min(Named::ByAccount)
                };
                assert_eq!(named(&acl, of, action, id, true), ignored, "ignored: {canned:?} {action} {id:?}");
            }
        }
    }

    #[test]
    fn an_object_of_another_account_names_the_owner_of_the_bucket_only_if_its_acl_does() {
        for (canned, read, write_acl) in [
            (Canned::Private, Named::Not, Named::Not),
            (Canned::BucketOwnerRead, Named::ByAccount, Named::Not),
            (Canned::BucketOwnerFullControl, Named::ByAccount, Named::ByAccount),
        ] {
            let acl = canned.acl(OTHER, OWNER);
            assert_eq!(named(&acl, AclOf::Object, "s3:GetObject", Some(OWNER), false), read, "{canned:?}");
            assert_eq!(
                named(&acl, AclOf::Object, "s3:PutObjectAcl", Some(OWNER), false),
                write_acl,
                "{canned:?}"
            );
        }
    }

    #[test]
    fn names_of_groups_permissions_and_canned_acls_are_read_back() {
        for permission in AclPermission::ALL {
            assert_eq!(AclPermission::parse(permission.name()), Some(permission));
        }
        for (canned, name) in Canned::NAMES {
            assert_eq!((Canned::parse(name), canned.name()), (Some(canned), name));
        }
        for (group, uri) in Grantee::GROUPS {
            assert_eq!((Grantee::of_uri(uri), group.uri()), (Some(group), Some(uri)));
        }
        assert_eq!(Grantee::of_uri("http://acs.amazonaws.com/groups/global/All"), None);
    }
}

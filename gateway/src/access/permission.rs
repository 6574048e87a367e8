//! What an operation needs: an action on a resource.
//!
//! Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".

use cairn_protocol::metadata::VersionName;

use crate::request::{Request, Target};

/// An action on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    /// The name of the action in IAM.
    pub(crate) action: &'static str,
    resource: Resource,
    /// The version, if the request names one.
    pub(crate) version: Option<VersionName>,
    /// The header with which the client says whom the bucket must belong to.
    pub(super) owner_header: &'static str,
}

/// What an action is done to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Resource {
    /// The caller's own account.
    Account,
    /// A bucket that need not exist; if it does not, it will belong to the caller's account.
    NewBucket(String),
    /// A bucket.
    Bucket(String),
    /// A bucket and a key in it.
    Object(String, String),
}

/// One permission at least: no operation needs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Permissions {
    first: Permission,
    more: Vec<Permission>,
}

impl Permissions {
    /// This permission.
    pub(crate) fn one(first: Permission) -> Self {
        Self { first, more: Vec::new() }
    }

    /// These, and one more.
    #[must_use]
    pub(crate) fn and(mut self, permission: Permission) -> Self {
        self.more.push(permission);
        self
    }

    /// All of them.
    pub(super) fn into_vec(self) -> Vec<Permission> {
        let mut all = vec![self.first];
        all.extend(self.more);
        all
    }
}

const OWNER: &str = "x-amz-expected-bucket-owner";
const SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";

impl Permission {
    fn new(action: &'static str, resource: Resource) -> Self {
        Self { action, resource, version: None, owner_header: OWNER }
    }

    /// An action on what the request is about. If the request names a version, it is the action on versions.
    pub(crate) fn on_target(action: &'static str, request: &Request) -> Self {
        let resource = match &request.target {
            Target::Service | Target::Account => Resource::Account,
            Target::Bucket(bucket) => Resource::Bucket(bucket.to_string()),
            Target::Object(bucket, key) => Resource::Object(bucket.to_string(), key.to_string()),
        };
        let version = request.query.get("versionId").and_then(|text| text.parse().ok());
        let action = if request.query.has("versionId") { of_version(action) } else { action };
        Self { version, ..Self::new(action, resource) }
    }

    /// An action on a bucket that the request makes.
    pub(crate) fn on_new_bucket(action: &'static str, bucket: &str) -> Self {
        Self::new(action, Resource::NewBucket(bucket.to_owned()))
    }

    /// An action on the bucket of an object.
    pub(crate) fn on_bucket(action: &'static str, bucket: &str) -> Self {
        Self::new(action, Resource::Bucket(bucket.to_owned()))
    }

    /// An action on an object, or on a version of it.
    pub(crate) fn on_object(
        action: &'static str,
        bucket: &str,
        key: &str,
        version: Option<VersionName>,
    ) -> Self {
        let action = if version.is_some() { of_version(action) } else { action };
        let resource = Resource::Object(bucket.to_owned(), key.to_owned());
        Self { version, ..Self::new(action, resource) }
    }

    /// Makes it a permission on the source of a copy.
    #[must_use]
    pub(crate) fn of_source(self) -> Self {
        Self { owner_header: SOURCE_OWNER, ..self }
    }

    /// The permissions that a write of an object needs, according to its headers.
    pub(crate) fn of_upload(request: &Request) -> Permissions {
        let mut needed = Permissions::one(Self::on_target("s3:PutObject", request));
        if request.headers.contains_key("x-amz-tagging") {
            needed = needed.and(Self::on_target("s3:PutObjectTagging", request));
        }
        let has = |name: &str| request.headers.contains_key(name);
        if has("x-amz-object-lock-mode") || has("x-amz-object-lock-retain-until-date") {
            needed = needed.and(Self::on_target("s3:PutObjectRetention", request));
        }
        if has("x-amz-object-lock-legal-hold") {
            needed = needed.and(Self::on_target("s3:PutObjectLegalHold", request));
        }
        let sets_acl =
            |name: &http::HeaderName| name == "x-amz-acl" || name.as_str().starts_with("x-amz-grant-");
        if request.headers.keys().any(sets_acl) {
            needed = needed.and(Self::on_target("s3:PutObjectAcl", request));
        }
        needed
    }

    /// The bucket, which must exist; `None` if the permission is about no bucket, or one that is being made.
    pub(super) fn bucket(&self) -> Option<&str> {
        match &self.resource {
            Resource::Account | Resource::NewBucket(_) => None,
            Resource::Bucket(bucket) | Resource::Object(bucket, _) => Some(bucket),
        }
    }

    /// Bucket and key, if the permission is about an object.
    pub(super) fn object(&self) -> Option<(&str, &str)> {
        match &self.resource {
            Resource::Object(bucket, key) => Some((bucket, key)),
            Resource::Account | Resource::NewBucket(_) | Resource::Bucket(_) => None,
        }
    }

    /// Whether the action concerns an object that exists: its owner and its ACL decide about it. Others concern the bucket in which
    /// an object is made or deleted.
    pub(super) fn is_about_existing(&self) -> bool {
        let of_bucket = [
            "s3:PutObject",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
            "s3:BypassGovernanceRetention",
        ];
        self.object().is_some() && !of_bucket.contains(&self.action)
    }

    /// The ARN of the resource.
    pub(super) fn resource_arn(&self) -> String {
        match &self.resource {
            Resource::Account => "arn:aws:s3:::*".to_owned(),
            Resource::NewBucket(bucket) | Resource::Bucket(bucket) => format!("arn:aws:s3:::{bucket}"),
            Resource::Object(bucket, key) => format!("arn:aws:s3:::{bucket}/{key}"),
        }
    }
}

/// The action on a version that belongs to an action on an object.
fn of_version(action: &'static str) -> &'static str {
    match action {
        "s3:DeleteObject" => "s3:DeleteObjectVersion",
        "s3:DeleteObjectTagging" => "s3:DeleteObjectVersionTagging",
        "s3:GetObject" => "s3:GetObjectVersion",
        "s3:GetObjectAcl" => "s3:GetObjectVersionAcl",
        "s3:GetObjectAttributes" => "s3:GetObjectVersionAttributes",
        "s3:GetObjectTagging" => "s3:GetObjectVersionTagging",
        "s3:PutObjectAcl" => "s3:PutObjectVersionAcl",
        "s3:PutObjectTagging" => "s3:PutObjectVersionTagging",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_needs_the_action_on_versions() {
        let plain = Permission::on_object("s3:GetObject", "b", "a/k", None);
        assert_eq!((plain.action, plain.resource_arn().as_str()), ("s3:GetObject", "arn:aws:s3:::b/a/k"));
        let version = Permission::on_object("s3:DeleteObject", "b", "k", Some(VersionName::Null));
        assert_eq!(version.action, "s3:DeleteObjectVersion");
    }
}

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
    /// The bucket; `None` for the service.
    bucket: Option<String>,
    /// The key; `None` for a bucket.
    key: Option<String>,
    /// The version, if the request names one.
    pub(crate) version: Option<VersionName>,
}

impl Permission {
    /// An action on what the request is about. If the request names a version, it is the action on versions.
    pub(crate) fn on_target(action: &'static str, request: &Request) -> Self {
        let (bucket, key) = match &request.target {
            Target::Service => (None, None),
            Target::Bucket(bucket) => (Some(bucket.to_string()), None),
            Target::Object(bucket, key) => (Some(bucket.to_string()), Some(key.to_string())),
        };
        let version = request.query.get("versionId").and_then(|text| text.parse().ok());
        let action = if request.query.has("versionId") { of_version(action) } else { action };
        Self { action, bucket, key, version }
    }

    /// An action on an object, or on a version of it.
    pub(crate) fn on_object(
        action: &'static str,
        bucket: &str,
        key: &str,
        version: Option<VersionName>,
    ) -> Self {
        let action = if version.is_some() { of_version(action) } else { action };
        Self { action, bucket: Some(bucket.to_owned()), key: Some(key.to_owned()), version }
    }

    /// The permissions that a write of an object needs, according to its headers.
    pub(crate) fn of_upload(request: &Request) -> Vec<Self> {
        let mut needed = vec![Self::on_target("s3:PutObject", request)];
        if request.headers.contains_key("x-amz-tagging") {
            needed.push(Self::on_target("s3:PutObjectTagging", request));
        }
        let has = |name: &str| request.headers.contains_key(name);
        if has("x-amz-object-lock-mode") || has("x-amz-object-lock-retain-until-date") {
            needed.push(Self::on_target("s3:PutObjectRetention", request));
        }
        if has("x-amz-object-lock-legal-hold") {
            needed.push(Self::on_target("s3:PutObjectLegalHold", request));
        }
        let sets_acl =
            |name: &http::HeaderName| name == "x-amz-acl" || name.as_str().starts_with("x-amz-grant-");
        if request.headers.keys().any(sets_acl) {
            needed.push(Self::on_target("s3:PutObjectAcl", request));
        }
        needed
    }

    /// Bucket and key, if the permission is about an object.
    pub(super) fn object(&self) -> Option<(&str, &str)> {
        self.bucket.as_deref().zip(self.key.as_deref())
    }

    /// The ARN of the resource.
    pub(super) fn resource_arn(&self) -> String {
        match (&self.bucket, &self.key) {
            (None, _) => "arn:aws:s3:::*".to_owned(),
            (Some(bucket), None) => format!("arn:aws:s3:::{bucket}"),
            (Some(bucket), Some(key)) => format!("arn:aws:s3:::{bucket}/{key}"),
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

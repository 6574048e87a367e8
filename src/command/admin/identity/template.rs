//! The built-in policies for one bucket.

use clap::ValueEnum;

/// A policy for one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Template {
    /// List the bucket and read its objects
    Readonly,
    /// List the bucket, and read, write and delete its objects
    Readwrite,
    /// Write objects, and neither list nor read
    Writeonly,
}

impl Template {
    /// The name of the inline policy. Bucket names have no characters that names of policies may not have.
    pub(super) fn policy_name(self, bucket: &str) -> String {
        let name = match self {
            Self::Readonly => "readonly",
            Self::Readwrite => "readwrite",
            Self::Writeonly => "writeonly",
        };
        format!("{name}-{bucket}")
    }

    /// The document. It is short, because all inline policies of a user together have 2,048 characters.
    pub(super) fn document(self, bucket: &str) -> String {
        const READ: &[&str] = &["s3:GetBucketLocation", "s3:GetObject*", "s3:ListBucket*"];
        const WRITE: &[&str] = &[
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
            "s3:PutObjectTagging",
        ];
        const DELETE: &[&str] = &["s3:DeleteObject", "s3:DeleteObjectTagging"];
        let actions = match self {
            Self::Readonly => READ.to_vec(),
            Self::Readwrite => [READ, WRITE, DELETE].concat(),
            Self::Writeonly => WRITE.to_vec(),
        };
        let resources = [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")];
        let statement = serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": resources});
        serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use cairn_policy::{Kind, Policy};

    use super::*;

    #[test]
    fn templates_are_valid_policies_and_several_fit_a_user() {
        for template in Template::value_variants() {
            let document = template.document("photos");
            Policy::parse(&document, Kind::Identity).unwrap();
            assert!(document.contains("arn:aws:s3:::photos/*"));
            assert!(document.len() < 2048 / 4, "{}", document.len());
        }
        assert!(!Template::Readonly.document("b").contains("Put"));
        assert!(!Template::Writeonly.document("b").contains("Get"));
    }
}

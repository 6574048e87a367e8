//! The condition keys that requests have here.
//!
//! A statement that denies under a condition on a key that is never filled would never deny. So a policy that asks for such a key
//! is not used at all, and its holder can do nothing: what is unknown never allows.

use serde_json::Value;

/// The keys that `access::context` and the IAM API and STS fill, in lower case. Those that end with `/` are followed by the key of a
/// tag.
const FILLED: &[&str] = &[
    "aws:currenttime",
    "aws:epochtime",
    "aws:federatedprovider",
    // No request has these without MFA devices, and without services that call others.
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principaltag/",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:requesttag/",
    "aws:securetransport",
    "aws:sourceip",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:resourceaccount",
    "iam:permissionsboundary",
    "iam:policyarn",
    "s3:authtype",
    "s3:delimiter",
    "s3:existingobjecttag/",
    "s3:if-match",
    "s3:if-none-match",
    "s3:locationconstraint",
    "s3:max-keys",
    "s3:object-lock-legal-hold",
    "s3:object-lock-mode",
    "s3:object-lock-remaining-retention-days",
    "s3:object-lock-retain-until-date",
    "s3:objectcreationoperation",
    "s3:prefix",
    "s3:requestobjecttag/",
    "s3:requestobjecttagkeys",
    "s3:resourceaccount",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:tlsversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-object-ownership",
    "s3:x-amz-storage-class",
    // Requests with these are refused, because there is no encryption and there are no websites. So it is true that no request
    // has them.
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-website-redirect-location",
    "sts:externalid",
    "sts:rolesessionname",
];

/// A policy asks for a condition key that no request has here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the condition key {0} is not implemented")]
pub(crate) struct Unfilled(String);

impl Unfilled {
    /// Whether the key is one that AWS's services have, as far as its beginning tells.
    pub(crate) fn is_of_aws(&self) -> bool {
        let lower = self.0.to_ascii_lowercase();
        lower.starts_with("aws:") || lower.starts_with("s3:")
    }
}

/// Checks that a policy asks for keys that requests have.
///
/// # Errors
/// The first key that they do not have. A text that is not JSON has no keys.
pub(crate) fn check(policy: &str) -> Result<(), Unfilled> {
    first_without(policy, |key| {
        FILLED
            .iter()
            .any(|filled| if filled.ends_with('/') { key.starts_with(filled) } else { key == *filled })
    })
    .map_or(Ok(()), |key| Err(Unfilled(key)))
}

/// The first condition key of a policy that `is_filled`, which gets it in lower case, does not know.
pub(crate) fn first_without(policy: &str, is_filled: impl Fn(&str) -> bool) -> Option<String> {
    let document: Value = serde_json::from_str(policy).ok()?;
    let statements = match document.get("Statement")? {
        Value::Array(statements) => statements.iter().collect(),
        statement => vec![statement],
    };
    let conditions = statements.into_iter().filter_map(|statement| statement.get("Condition")?.as_object());
    let operands = conditions.flat_map(|condition| condition.values()).filter_map(Value::as_object);
    operands.flat_map(|operand| operand.keys()).find(|key| !is_filled(&key.to_ascii_lowercase())).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_no_request_has_is_named() {
        let policy =
            |key: &str| format!(r#"{{"Statement":[{{"Condition":{{"StringEquals":{{"{key}":"x"}}}}}}]}}"#);
        for known in ["aws:SourceIp", "s3:prefix", "s3:ExistingObjectTag/team", "S3:RequestObjectTagKeys"] {
            assert_eq!(check(&policy(known)), Ok(()), "{known}");
        }
        for unknown in ["aws:SourceVpce", "s3:prefixes", "aws:SourceOrgID"] {
            assert_eq!(check(&policy(unknown)), Err(Unfilled(unknown.to_owned())));
        }
        let single = r#"{"Statement":{"Condition":{"Bool":{"aws:SourceVpc":"true"}}}}"#;
        assert!(check(single).is_err());
        assert_eq!(check("no JSON"), Ok(()));
    }
}

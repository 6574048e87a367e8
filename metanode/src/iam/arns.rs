//! The ARNs of users, groups, roles, policies and providers.

use cairn_protocol::iam::HolderKind;

/// The account in the ARNs of policies that are built in.
pub(super) const AWS: &str = "aws";

/// The ARN of a user, group or role.
pub(super) fn holder(account: &str, kind: HolderKind, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:{kind}{path}{name}")
}

/// The ARN of a managed policy.
pub(super) fn policy(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:policy{path}{name}")
}

/// The account and the name in the ARN of a managed policy; `None` if `text` is no such ARN.
pub(super) fn parse_policy(text: &str) -> Option<(&str, &str)> {
    let (account, resource) = text.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let path_and_name = resource.strip_prefix("policy/")?;
    Some((account, path_and_name.rsplit('/').next()?))
}

/// The ARN of a provider of OpenID Connect. `url` is without `https://`.
pub(super) fn oidc_provider(account: &str, url: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{url}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_have_path_and_name() {
        assert_eq!(holder("1", HolderKind::User, "/a/b/", "n"), "arn:aws:iam::1:user/a/b/n");
        let arn = policy("1", "/a/", "n");
        assert_eq!(parse_policy(&arn), Some(("1", "n")));
        assert_eq!(parse_policy("arn:aws:iam::aws:policy/X"), Some(("aws", "X")));
        for wrong in ["X", "arn:aws:iam::1:user/x", "arn:aws:s3:::b"] {
            assert_eq!(parse_policy(wrong), None);
        }
    }
}

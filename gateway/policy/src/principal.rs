//! Who sends a request, and how policies name principals.
//!
//! Source: IAM User Guide, "AWS JSON policy elements: Principal".

/// The sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A request without credentials.
    Anonymous,
    /// The root user of an account.
    Root {
        /// The account's 12 digits.
        account: String,
    },
    /// A user, or a session that a user opened for itself.
    User {
        /// The account's 12 digits.
        account: String,
        /// The path and name, as in the ARN behind `user/`.
        name: String,
    },
    /// A session of a role.
    RoleSession {
        /// The account's 12 digits.
        account: String,
        /// The path and name of the role, as in its ARN behind `role/`.
        role: String,
        /// The name of the session.
        session: String,
    },
}

impl Principal {
    /// The account; `None` for an anonymous request.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Root { account } | Self::User { account, .. } | Self::RoleSession { account, .. } => {
                Some(account)
            }
        }
    }

    /// The ARN of the principal itself; `None` for an anonymous request.
    pub fn arn(&self) -> Option<String> {
        match self {
            Self::Anonymous => None,
            Self::Root { account } => Some(format!("arn:aws:iam::{account}:root")),
            Self::User { account, name } => Some(format!("arn:aws:iam::{account}:user/{name}")),
            Self::RoleSession { account, role, session } => {
                let role = role.rsplit('/').next().unwrap_or(role);
                Some(format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"))
            }
        }
    }

    /// The ARN of the role of a session.
    fn role_arn(&self) -> Option<String> {
        match self {
            Self::RoleSession { account, role, .. } => Some(format!("arn:aws:iam::{account}:role/{role}")),
            Self::Anonymous | Self::Root { .. } | Self::User { .. } => None,
        }
    }
}

/// A principal as a policy names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedPrincipal {
    /// `"*"` or `{"AWS": "*"}`: everyone, anonymous requests included.
    Everyone,
    /// An account, by its 12 digits or the ARN of its root.
    Account(String),
    /// A user, role or session, by its ARN. There are no wildcards in it.
    Arn(String),
    /// The owner id of an account, by which S3's ACLs name it.
    CanonicalUser(String),
    /// A service or an identity provider. No request to S3 comes from one here.
    Other(String),
}

/// How a statement names the sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// Not at all.
    Not,
    /// By its account. In an Allow this only lets the account's own policies give the permission.
    ByAccount,
    /// As one of everyone, or by the role of a session.
    Indirectly,
    /// By its own ARN.
    Itself,
}

impl NamedPrincipal {
    /// Parses an entry of `{"AWS": …}`; `None` for what names no principal.
    pub fn parse_aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everyone);
        }
        if is_account(text) {
            return Some(Self::Account(text.to_owned()));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", "aws", service @ ("iam" | "sts"), "", account, name] = parts[..] else { return None };
        if !is_account(account) || name.contains(['*', '?']) {
            return None;
        }
        match (service, name.split_once('/')) {
            ("iam", None) if name == "root" => Some(Self::Account(account.to_owned())),
            ("iam", Some(("user" | "role", name))) | ("sts", Some(("assumed-role", name)))
                if !name.is_empty() =>
            {
                Some(Self::Arn(text.to_owned()))
            }
            _ => None,
        }
    }
}

/// The sender of a request with the names by which policies may refer to it, made once for all of their statements.
#[derive(Clone, Debug)]
pub struct Sender<'a> {
    principal: &'a Principal,
    arn: Option<String>,
    role_arn: Option<String>,
    canonical_id: Option<&'a str>,
}

impl<'a> Sender<'a> {
    /// This principal. `canonical_id` is the owner id of its account.
    pub fn new(principal: &'a Principal, canonical_id: Option<&'a str>) -> Self {
        Self { principal, arn: principal.arn(), role_arn: principal.role_arn(), canonical_id }
    }

    /// How a policy names the sender with this.
    pub fn named_by(&self, name: &NamedPrincipal) -> Named {
        let is_root = matches!(self.principal, Principal::Root { .. });
        match name {
            NamedPrincipal::Everyone => Named::Indirectly,
            NamedPrincipal::Account(account) if self.principal.account() != Some(account) => Named::Not,
            NamedPrincipal::CanonicalUser(id) if self.canonical_id != Some(id) => Named::Not,
            NamedPrincipal::Account(_) | NamedPrincipal::CanonicalUser(_) if is_root => Named::Itself,
            NamedPrincipal::Account(_) | NamedPrincipal::CanonicalUser(_) => Named::ByAccount,
            NamedPrincipal::Arn(arn) if self.arn.as_ref() == Some(arn) => Named::Itself,
            NamedPrincipal::Arn(arn) if self.role_arn.as_ref() == Some(arn) => Named::Indirectly,
            NamedPrincipal::Arn(_) | NamedPrincipal::Other(_) => Named::Not,
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "123456789012";

    #[test]
    fn principals_are_parsed_as_documented() {
        let arn = |text: &str| Some(NamedPrincipal::Arn(text.to_owned()));
        let account = Some(NamedPrincipal::Account(ACCOUNT.to_owned()));
        for (text, parsed) in [
            ("*", Some(NamedPrincipal::Everyone)),
            (ACCOUNT, account.clone()),
            ("arn:aws:iam::123456789012:root", account),
            ("arn:aws:iam::123456789012:user/a/b", arn("arn:aws:iam::123456789012:user/a/b")),
            ("arn:aws:iam::123456789012:role/r", arn("arn:aws:iam::123456789012:role/r")),
            ("arn:aws:sts::123456789012:assumed-role/r/s", arn("arn:aws:sts::123456789012:assumed-role/r/s")),
            ("arn:aws:iam::123456789012:user/*", None),
            ("arn:aws:iam::123456789012:group/g", None),
            ("arn:aws:iam::1234:user/a", None),
            ("arn:aws:s3:::bucket", None),
            ("ann", None),
            ("", None),
        ] {
            assert_eq!(NamedPrincipal::parse_aws(text), parsed, "{text}");
        }
    }

    #[test]
    fn a_session_is_named_by_its_arn_its_role_and_its_account() {
        let session =
            Principal::RoleSession { account: ACCOUNT.into(), role: "path/r".into(), session: "s".into() };
        let named_as = |principal: &Principal, text: &str| {
            Sender::new(principal, Some("owner")).named_by(&NamedPrincipal::parse_aws(text).unwrap())
        };
        let named = |text: &str| named_as(&session, text);
        assert_eq!(named("arn:aws:sts::123456789012:assumed-role/r/s"), Named::Itself);
        assert_eq!(named("arn:aws:iam::123456789012:role/path/r"), Named::Indirectly);
        assert_eq!(named("arn:aws:iam::123456789012:role/r"), Named::Not);
        assert_eq!(named(ACCOUNT), Named::ByAccount);
        assert_eq!(named("*"), Named::Indirectly);
        assert_eq!(named("999999999999"), Named::Not);
        let root = Principal::Root { account: ACCOUNT.into() };
        assert_eq!(named_as(&root, ACCOUNT), Named::Itself);
        assert_eq!(named_as(&Principal::Anonymous, ACCOUNT), Named::Not);
        let owner = |id: &str| NamedPrincipal::CanonicalUser(id.to_owned());
        assert_eq!(Sender::new(&session, Some("owner")).named_by(&owner("owner")), Named::ByAccount);
        assert_eq!(Sender::new(&root, Some("owner")).named_by(&owner("owner")), Named::Itself);
        assert_eq!(Sender::new(&root, Some("owner")).named_by(&owner("other")), Named::Not);
        assert_eq!(Sender::new(&Principal::Anonymous, None).named_by(&owner("owner")), Named::Not);
    }
}

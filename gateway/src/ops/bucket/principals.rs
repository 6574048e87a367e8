//! The principals that a bucket policy names, in the form in which the metanode finds them.

use cairn_policy::Policy;
use cairn_policy::principal::NamedPrincipal;
use cairn_policy::statement::Principals;
use cairn_protocol::metadata::PrincipalName;

/// A principal that a policy names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Its name.
    pub(super) name: PrincipalName,
    /// The path of a user or role. The ARN of a session does not have that of its role.
    pub(super) path: Option<String>,
}

/// The principals of a policy, each once; `None` if one of them can be no principal here, such as a service of AWS.
pub(super) fn named_in(policy: &Policy) -> Option<Vec<Named>> {
    let mut all = Vec::new();
    for statement in &policy.statements {
        let (Principals::Listed(names) | Principals::AllBut(names)) = &statement.principals else { continue };
        for name in names.iter().filter(|name| **name != NamedPrincipal::Everyone) {
            let named = named(name)?;
            if !all.contains(&named) {
                all.push(named);
            }
        }
    }
    Some(all)
}

fn named(principal: &NamedPrincipal) -> Option<Named> {
    let account = |name| Some(Named { name, path: None });
    let arn = match principal {
        NamedPrincipal::Everyone | NamedPrincipal::Other(_) => return None,
        NamedPrincipal::Account(id) => return account(PrincipalName::Account(id.clone())),
        NamedPrincipal::CanonicalUser(id) => return account(PrincipalName::CanonicalUser(id.clone())),
        NamedPrincipal::Arn(arn) => arn,
    };
    let mut parts = arn.splitn(6, ':').skip(4);
    let (account, resource) = (parts.next()?.to_owned(), parts.next()?);
    let (kind, rest) = resource.split_once('/')?;
    if kind == "assumed-role" {
        let (role, _session) = rest.split_once('/')?;
        return Some(Named { name: PrincipalName::Role(account, role.to_owned()), path: None });
    }
    let (path, name) = match rest.rsplit_once('/') {
        Some((path, name)) => (format!("/{path}/"), name.to_owned()),
        None => ("/".to_owned(), rest.to_owned()),
    };
    let name = match kind {
        "user" => PrincipalName::User(account, name),
        "role" => PrincipalName::Role(account, name),
        _ => return None,
    };
    Some(Named { name, path: Some(path) })
}

#[cfg(test)]
mod tests {
    use cairn_policy::Kind;

    use super::*;

    fn names(principal: &str) -> Option<Vec<Named>> {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}}}"#
        );
        named_in(&Policy::parse(&text, Kind::Bucket("b")).unwrap())
    }

    #[test]
    fn principals_are_read_from_their_arns() {
        let account = "123456789012".to_owned();
        let named = |name, path: Option<&str>| Some(vec![Named { name, path: path.map(str::to_owned) }]);
        assert_eq!(names(r#""*""#), Some(Vec::new()));
        let of_account = named(PrincipalName::Account(account.clone()), None);
        assert_eq!(names(r#"{"AWS":["123456789012","arn:aws:iam::123456789012:root"]}"#), of_account);
        for (arn, name, path) in [
            ("iam::123456789012:user/ann", PrincipalName::User(account.clone(), "ann".into()), Some("/")),
            (
                "iam::123456789012:user/a/b/ann",
                PrincipalName::User(account.clone(), "ann".into()),
                Some("/a/b/"),
            ),
            ("iam::123456789012:role/r", PrincipalName::Role(account.clone(), "r".into()), Some("/")),
            ("sts::123456789012:assumed-role/r/s", PrincipalName::Role(account.clone(), "r".into()), None),
        ] {
            assert_eq!(names(&format!(r#"{{"AWS":"arn:aws:{arn}"}}"#)), named(name, path), "{arn}");
        }
        assert_eq!(names(r#"{"Service":"cloudfront.amazonaws.com"}"#), None);
    }
}

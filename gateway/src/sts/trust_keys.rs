//! The condition keys that trust policies may ask for.
//!
//! A statement that denies under a condition on a key that is never filled would never deny. So a trust policy that asks for such
//! a key is not used at all.

use crate::identity::condition_keys;

/// The keys that requests to assume a role have, in lower case.
const FILLED: &[&str] = &[
    "aws:currenttime",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principaltype",
    "aws:referer",
    "aws:securetransport",
    "aws:sourceip",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "sts:externalid",
    "sts:rolesessionname",
];

/// The claims of web identity tokens that are keys behind the provider's name.
pub(super) const CLAIMS: [&str; 3] = ["aud", "sub", "amr"];

/// The first key of a trust policy that no request has.
pub(super) fn unknown(policy: &str) -> Option<String> {
    condition_keys::first_without(policy, is_filled)
}

fn is_filled(key: &str) -> bool {
    match key.rsplit_once(':') {
        // The name of a provider has a dot or a port; prefixes of AWS's keys have neither.
        Some((provider, claim)) if provider.contains(['.', ':', '/']) => CLAIMS.contains(&claim),
        _ => FILLED.contains(&key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_no_request_has_is_named() {
        let policy =
            |key: &str| format!(r#"{{"Statement":[{{"Condition":{{"StringEquals":{{"{key}":"x"}}}}}}]}}"#);
        for known in
            ["sts:ExternalId", "aws:PrincipalArn", "id.example.com:aud", "id.example.com/realms/a:sub"]
        {
            assert_eq!(unknown(&policy(known)), None, "{known}");
        }
        for key in ["aws:MultiFactorAuthPresent", "sts:SourceIdentity", "id.example.com:email", "s3:prefix"] {
            assert_eq!(unknown(&policy(key)).as_deref(), Some(key));
        }
    }
}

//! Whether a bucket policy is public.
//!
//! Source: S3 User Guide, "Blocking public access to your Amazon S3 storage", "The meaning of 'public'": a policy is public
//! unless each statement that allows something gives it only to fixed principals, or under a condition that fixes one of some keys.

use ipnet::IpNet;

use crate::condition::{Condition, Quantifier, Test, Value};
use crate::document::Policy;
use crate::principal::NamedPrincipal;
use crate::statement::{Effect, Principals, Statement};

/// Keys of which a fixed value makes a statement not public.
const FIXING_KEYS: [&str; 12] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

/// Networks that are wider than these are public, as AWS has it.
const PREFIX_MIN_V4: u8 = 8;
const PREFIX_MIN_V6: u8 = 32;

/// Whether a bucket policy gives access to the public.
pub fn is_public(policy: &Policy) -> bool {
    policy.statements.iter().any(is_public_statement)
}

fn is_public_statement(statement: &Statement) -> bool {
    let names_everyone = match &statement.principals {
        Principals::TheOwner => false,
        Principals::Listed(names) => names.contains(&NamedPrincipal::Everyone),
        Principals::AllBut(_) => true,
    };
    statement.effect == Effect::Allow && names_everyone && !statement.conditions.iter().any(fixes_sender)
}

/// Whether a condition lets only fixed senders through.
fn fixes_sender(condition: &Condition) -> bool {
    let Test::Matches { negated: false, values } = &condition.test else { return false };
    // A request without the key satisfies these.
    if condition.if_exists || condition.quantifier == Quantifier::All {
        return false;
    }
    if condition.key == "aws:sourceip" {
        return values.iter().all(|value| matches!(value, Value::Network(network) if is_narrow(network)));
    }
    FIXING_KEYS.contains(&condition.key.as_str()) && values.iter().all(is_fixed)
}

fn is_fixed(value: &Value) -> bool {
    match value {
        Value::Text(pattern) | Value::TextIgnoringCase(pattern) => pattern.is_fixed(),
        Value::Arn(pattern) => pattern.is_fixed(),
        Value::Number(..) | Value::Date(..) | Value::Bool(_) | Value::Binary(_) | Value::Network(_) => false,
    }
}

fn is_narrow(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() >= PREFIX_MIN_V4,
        IpNet::V6(network) => network.prefix_len() >= PREFIX_MIN_V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Kind;

    fn public(principal: &str, condition: &str) -> bool {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject",
                "Resource":"arn:aws:s3:::b/*","Condition":{condition}}}}}"#
        );
        is_public(&Policy::parse(&text, Kind::Bucket("b")).unwrap())
    }

    /// The examples of the page.
    #[test]
    fn a_policy_is_public_unless_its_senders_are_fixed() {
        let anyone = r#""*""#;
        assert!(public(anyone, "{}"));
        assert!(public(r#"{"AWS":"*"}"#, "{}"));
        assert!(!public(r#"{"AWS":"123456789012"}"#, "{}"));
        for (condition, expected) in [
            (r#"{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#, true),
            (r#"{"StringEquals":{"aws:SourceVpc":"vpc-91237329"}}"#, false),
            (r#"{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-91237329"}}"#, true),
            (r#"{"StringNotEquals":{"aws:SourceVpc":"vpc-91237329"}}"#, true),
            (r#"{"StringEquals":{"aws:SourceVpc":["vpc-1","vpc-2"]}}"#, false),
            (r#"{"StringEquals":{"aws:Referer":"https://example.com"}}"#, true),
            (r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, false),
            (r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"}}"#, true),
            (r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, true),
            (r#"{"StringEquals":{"aws:userid":"${aws:username}"}}"#, true),
        ] {
            assert_eq!(public(anyone, condition), expected, "{condition}");
        }
    }
}

//! Policies that are refused, and in which words; and that no text makes the parser panic.

use cairn_policy::{Kind, Policy};
use proptest::prelude::*;

fn bucket(text: &str) -> Result<Policy, String> {
    Policy::parse(text, Kind::Bucket("b")).map_err(|error| error.0)
}

/// A bucket policy of one statement with these members.
fn statement(members: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{{members}}}]}}"#)
}

const WHOLE: &str =
    r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#;

#[test]
fn a_whole_policy_is_accepted() {
    let policy = bucket(&statement(WHOLE)).unwrap();
    assert_eq!(policy.statements.len(), 1);
    let one = format!(r#"{{"Id":"x","Statement":{{"Sid":"a",{WHOLE}}}}}"#);
    assert_eq!(bucket(&one).unwrap().statements[0].sid.as_deref(), Some("a"));
    let condition = format!(
        r#"{WHOLE},"Condition":{{"Bool":{{"aws:SecureTransport":true}},"NumericLessThan":{{"s3:max-keys":10}}}}"#
    );
    assert_eq!(bucket(&statement(&condition)).unwrap().statements[0].conditions.len(), 2);
}

#[test]
fn what_is_wrong_with_a_bucket_policy_is_said() {
    let with = |from: &str, to: &str| statement(&WHOLE.replace(from, to));
    for (text, message) in [
        ("".to_owned(), "Policies must be valid JSON and the first byte must be '{'"),
        ("[]".to_owned(), "Policies must be valid JSON and the first byte must be '{'"),
        (r#"{"Version":"2012-10-17"}"#.to_owned(), "Missing required field Statement"),
        (r#"{"Statement":[]}"#.to_owned(), "Could not parse the policy: Statement is empty!"),
        (
            format!(r#"{{"Version":"2012","Statement":{{{WHOLE}}}}}"#),
            "The policy must contain a valid version string",
        ),
        (with(r#""Effect":"Allow","#, ""), "Missing required field Effect"),
        (with("Allow", "allow"), "Invalid effect: allow"),
        (with(r#""Principal":"*","#, ""), "Missing required field Principal"),
        (with(r#""Principal":"*""#, r#""Principal":"ann""#), "Invalid principal in policy"),
        (with(r#""Principal":"*""#, r#""Principal":{"AWS":"ann"}"#), "Invalid principal in policy"),
        (with(r#""Principal":"*""#, r#""Principal":{"Sender":"*"}"#), "Invalid principal in policy"),
        (with(r#""Principal":"*""#, r#""Principal":{"AWS":[]}"#), "Invalid principal in policy"),
        (with(r#""Action":"s3:GetObject","#, ""), "Missing required field Action"),
        (with("s3:GetObject", "s3:GetEverything"), "Policy has invalid action"),
        (with("s3:GetObject", "iam:CreateUser"), "Policy has invalid action"),
        (with(r#""s3:GetObject""#, "[]"), "Missing required field Action cannot be empty!"),
        (with(r#","Resource":"arn:aws:s3:::b/*""#, ""), "Missing required field Resource"),
        (with("arn:aws:s3:::b/*", "arn:aws:s3:::other/*"), "Policy has invalid resource"),
        (with("arn:aws:s3:::b/*", "arn:aws:s3:::bb/*"), "Policy has invalid resource"),
        (with("arn:aws:s3:::b/*", "b/*"), "Policy has invalid resource"),
        (with("arn:aws:s3:::b/*", "arn:aws:s3:::b"), "Action does not apply to any resource(s) in statement"),
        (with("s3:GetObject", "s3:ListBucket"), "Action does not apply to any resource(s) in statement"),
        (
            with("s3:GetObject", "s3:ListAllMyBuckets"),
            "Action does not apply to any resource(s) in statement",
        ),
        (
            with(r#""Action""#, r#""NotAction":"s3:PutObject","Action""#),
            "Statement has both Action and NotAction",
        ),
        (
            statement(&format!(r#"{WHOLE},"Condition":{{"StringIs":{{"aws:a":"b"}}}}"#)),
            "Invalid Condition type : StringIs",
        ),
        (
            statement(&format!(r#"{WHOLE},"Condition":{{"StringEquals":{{"prefix":"b"}}}}"#)),
            "Policy has an invalid condition key: prefix",
        ),
        (
            format!(r#"{{"Statement":[{{"Sid":"a",{WHOLE}}},{{"Sid":"a",{WHOLE}}}]}}"#),
            "Statement IDs (SID) in a single policy must be unique: a",
        ),
    ] {
        assert_eq!(bucket(&text).unwrap_err(), message, "{text}");
    }
}

/// An element that is ignored could be the one that restricts a permission, and of two with the same name one would be.
#[test]
fn unknown_and_repeated_elements_are_refused() {
    for (text, part) in [
        (statement(&format!(r#"{WHOLE},"Conditions":{{}}"#)), "unknown field `Conditions`"),
        (format!(r#"{{"Statements":[],"Statement":{{{WHOLE}}}}}"#), "unknown field `Statements`"),
        (statement(&format!(r#"{WHOLE},"Effect":"Deny""#)), "duplicate field `Effect`"),
        (
            statement(&format!(
                r#"{WHOLE},"Condition":{{"Bool":{{"aws:a":"true"}},"Bool":{{"aws:b":"true"}}}}"#
            )),
            "duplicate field `Bool`",
        ),
        (statement(&WHOLE.replace(r#""s3:GetObject""#, "7")), "invalid type"),
    ] {
        let error = bucket(&text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_bucket_policy_has_20_kib_at_most() {
    let padded = |length: usize| {
        let text = statement(WHOLE);
        format!("{text}{}", " ".repeat(length - text.len()))
    };
    assert!(bucket(&padded(20 * 1024)).is_ok());
    assert_eq!(
        bucket(&padded(20 * 1024 + 1)).unwrap_err(),
        "Policy exceeds the maximum allowed document size."
    );
}

#[test]
fn each_kind_of_policy_has_its_own_elements() {
    let identity = r#"{"Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*"}}"#;
    assert!(Policy::parse(identity, Kind::Identity).is_ok());
    let with_principal = identity.replace(r#""Effect""#, r#""Principal":"*","Effect""#);
    assert_eq!(
        Policy::parse(&with_principal, Kind::Identity).unwrap_err().0,
        "Policy document should not specify a principal."
    );
    let trust =
        r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}}"#;
    assert!(Policy::parse(trust, Kind::Trust).is_ok());
    let with_resource = trust.replace(r#""Action""#, r#""Resource":"*","Action""#);
    assert_eq!(Policy::parse(&with_resource, Kind::Trust).unwrap_err().0, "Has prohibited field Resource");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), tokens in proptest::collection::vec(
        proptest::sample::select(vec![
            "{", "}", "[", "]", ":", ",", "\"Statement\"", "\"Effect\"", "\"Allow\"", "\"Action\"", "\"*\"", "\"Condition\"",
            "\"StringLike\"", "\"aws:a\"", "\"Principal\"", "\"AWS\"", "\"Resource\"", "\"arn:aws:s3:::b/${a\"", "1", "true", "null",
        ]),
        0..40,
    )) {
        for text in [text, format!("{{{}", tokens.concat())] {
            for kind in [Kind::Identity, Kind::Bucket("b"), Kind::Trust] {
                let _ = Policy::parse(&text, kind);
            }
        }
    }
}

//! Condition operators.
//!
//! Source: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Set operators for multivalued context keys".

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::context::Context;
use crate::pattern::{ArnPattern, Pattern, Syntax};

/// One key of one operator, with its values: `"StringLike": {"s3:prefix": ["a/*", "b/*"]}`.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The key, in lower case.
    pub key: String,
    /// Which of the request's values must satisfy the test.
    pub quantifier: Quantifier,
    /// Whether the condition is satisfied by a request without the key.
    pub if_exists: bool,
    /// The test.
    pub test: Test,
}

/// Which of a key's values in the request must satisfy the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// The key has one value.
    Single,
    /// `ForAllValues:`: all; also satisfied without the key.
    All,
    /// `ForAnyValue:`: at least one.
    Any,
}

/// The test of an operator. A value satisfies it if it matches one of the operator's values, or none if it is negated.
#[derive(Clone, Debug)]
pub enum Test {
    /// `Null`: whether the key must be missing.
    Missing(Vec<bool>),
    /// Any other operator.
    Matches {
        /// Whether the operator is one with `Not`.
        negated: bool,
        /// The values in the policy.
        values: Vec<Value>,
    },
}

/// How a value of a request is compared with one in the policy.
#[derive(Clone, Debug)]
pub enum Value {
    /// `StringEquals`, `StringLike`.
    Text(Pattern),
    /// `StringEqualsIgnoreCase`. The pattern is in lower case.
    TextIgnoringCase(Pattern),
    /// `NumericEquals` and the like.
    Number(Order, f64),
    /// `DateEquals` and the like.
    Date(Order, Timestamp),
    /// `Bool`.
    Bool(bool),
    /// `BinaryEquals`.
    Binary(Vec<u8>),
    /// `IpAddress`.
    Network(IpNet),
    /// `ArnEquals`, `ArnLike`, which are the same.
    Arn(ArnPattern),
}

/// How numbers and dates are compared with the one in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Equal.
    Equal,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, bound: &T) -> bool {
        match self {
            Self::Equal => value == bound,
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
            Self::Greater => value > bound,
            Self::GreaterOrEqual => value >= bound,
        }
    }
}

impl Condition {
    /// Parses an operator, a key and its values. `syntax` says whether the policy's version has variables.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(operator: &str, key: &str, values: &[String], syntax: Syntax) -> Result<Self, String> {
        let unknown = || format!("Invalid Condition type : {operator}");
        let (quantifier, name) = match operator.split_once(':') {
            None => (Quantifier::Single, operator),
            Some(("ForAllValues", name)) => (Quantifier::All, name),
            Some(("ForAnyValue", name)) => (Quantifier::Any, name),
            Some(_) => return Err(unknown()),
        };
        let (name, if_exists) = match name.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let invalid = |value: &str| format!("Invalid value {value:?} for the condition {operator} on {key}");
        let test = if name == "Null" {
            if if_exists {
                return Err(unknown());
            }
            let missing = values.iter().map(|value| parse_bool(value).ok_or_else(|| invalid(value)));
            Test::Missing(missing.collect::<Result<_, _>>()?)
        } else {
            let (kind, negated) = Kind::named(name).ok_or_else(unknown)?;
            let values = values.iter().map(|value| kind.parse(value, syntax).ok_or_else(|| invalid(value)));
            Test::Matches { negated, values: values.collect::<Result<_, _>>()? }
        };
        Ok(Self { key: key.to_ascii_lowercase(), quantifier, if_exists, test })
    }

    /// Whether the operator is one with `Not`.
    pub fn is_negated(&self) -> bool {
        matches!(self.test, Test::Matches { negated: true, .. })
    }

    /// Whether a request satisfies the condition. Returns `None` if that is unknown: if a variable has no value, or a value of
    /// the request cannot be compared.
    pub fn holds(&self, context: &Context) -> Option<bool> {
        let given = context.get(&self.key);
        let (negated, values) = match &self.test {
            Test::Missing(missing) => return Some(missing.contains(&given.is_none())),
            Test::Matches { negated, values } => (*negated, values),
        };
        let Some(given) = given else {
            return Some(match self.quantifier {
                Quantifier::Single => self.if_exists || negated,
                Quantifier::All => true,
                Quantifier::Any => self.if_exists,
            });
        };
        let mut satisfied = Vec::with_capacity(given.len());
        for value in given {
            satisfied.push(matches_any(values, value, context)? != negated);
        }
        Some(match self.quantifier {
            // A key that should have one value and has several: a positive test needs one of them, a negated test all.
            Quantifier::Single if negated => satisfied.into_iter().all(|holds| holds),
            Quantifier::Single | Quantifier::Any => satisfied.into_iter().any(|holds| holds),
            Quantifier::All => satisfied.into_iter().all(|holds| holds),
        })
    }
}

fn matches_any(values: &[Value], given: &str, context: &Context) -> Option<bool> {
    let mut any = false;
    for value in values {
        any |= value.matches(given, context)?;
    }
    Some(any)
}

impl Value {
    fn matches(&self, given: &str, context: &Context) -> Option<bool> {
        match self {
            Self::Text(pattern) => pattern.matches(given, context),
            Self::TextIgnoringCase(pattern) => pattern.matches(&given.to_lowercase(), context),
            Self::Number(order, bound) => Some(order.holds(&given.parse().ok()?, bound)),
            Self::Date(order, bound) => Some(order.holds(&parse_date(given)?, bound)),
            Self::Bool(wanted) => Some(parse_bool(given)? == *wanted),
            Self::Binary(wanted) => Some(STANDARD.decode(given).ok()? == *wanted),
            Self::Network(network) => Some(network.contains(&parse_address(given)?)),
            Self::Arn(pattern) => pattern.matches(given, context),
        }
    }
}

/// The kinds of operators.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text(Syntax),
    TextIgnoringCase,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Network,
    Arn,
}

impl Kind {
    /// The operator of this name, and whether it is negated.
    fn named(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "StringEquals" => (Self::Text(Syntax::Literal), false),
            "StringNotEquals" => (Self::Text(Syntax::Literal), true),
            "StringEqualsIgnoreCase" => (Self::TextIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Self::TextIgnoringCase, true),
            "StringLike" => (Self::Text(Syntax::Wildcards), false),
            "StringNotLike" => (Self::Text(Syntax::Wildcards), true),
            "NumericEquals" => (Self::Number(Order::Equal), false),
            "NumericNotEquals" => (Self::Number(Order::Equal), true),
            "NumericLessThan" => (Self::Number(Order::Less), false),
            "NumericLessThanEquals" => (Self::Number(Order::LessOrEqual), false),
            "NumericGreaterThan" => (Self::Number(Order::Greater), false),
            "NumericGreaterThanEquals" => (Self::Number(Order::GreaterOrEqual), false),
            "DateEquals" => (Self::Date(Order::Equal), false),
            "DateNotEquals" => (Self::Date(Order::Equal), true),
            "DateLessThan" => (Self::Date(Order::Less), false),
            "DateLessThanEquals" => (Self::Date(Order::LessOrEqual), false),
            "DateGreaterThan" => (Self::Date(Order::Greater), false),
            "DateGreaterThanEquals" => (Self::Date(Order::GreaterOrEqual), false),
            "Bool" => (Self::Bool, false),
            "BinaryEquals" => (Self::Binary, false),
            "IpAddress" => (Self::Network, false),
            "NotIpAddress" => (Self::Network, true),
            "ArnEquals" | "ArnLike" => (Self::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Self::Arn, true),
            _ => return None,
        })
    }

    fn parse(self, text: &str, syntax: Syntax) -> Option<Value> {
        Some(match self {
            Self::Text(Syntax::Wildcards) => Value::Text(Pattern::parse(text, syntax)),
            Self::Text(_) => Value::Text(Pattern::parse(text, syntax.without_wildcards())),
            Self::TextIgnoringCase => {
                Value::TextIgnoringCase(Pattern::parse(text, syntax.without_wildcards()).in_lower_case())
            }
            Self::Number(order) => {
                Value::Number(order, text.parse().ok().filter(|number: &f64| number.is_finite())?)
            }
            Self::Date(order) => Value::Date(order, parse_date(text)?),
            Self::Bool => Value::Bool(parse_bool(text)?),
            Self::Binary => Value::Binary(STANDARD.decode(text).ok()?),
            Self::Network => Value::Network(parse_network(text)?),
            Self::Arn => Value::Arn(ArnPattern::parse(text, syntax)?),
        })
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// An ISO 8601 date with or without a time, or seconds since 1970.
fn parse_date(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse() {
        return Some(timestamp);
    }
    if let Ok(date) = text.parse::<Date>() {
        return TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok();
    }
    Timestamp::from_second(text.parse().ok()?).ok()
}

/// An address; one of IPv4 that is written as IPv6 is the one of IPv4.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// A network, or an address as the network of it alone.
fn parse_network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| parse_address(text).map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, values: &[&str], given: &[&str]) -> Option<bool> {
        let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
        let condition = Condition::parse(operator, "aws:Key", &values, Syntax::Full).unwrap();
        let mut context = Context::default().with("aws:username", "ann");
        for value in given {
            context.add("AWS:KEY", *value);
        }
        condition.holds(&context)
    }

    /// The tables of the page "Condition operators".
    #[test]
    fn operators_compare_as_documented() {
        for (operator, value, given, expected) in [
            ("StringEquals", "a", "a", true),
            ("StringEquals", "a", "A", false),
            ("StringEquals", "*", "x", false),
            ("StringEquals", "${aws:username}", "ann", true),
            ("StringNotEquals", "a", "b", true),
            ("StringNotEquals", "a", "a", false),
            ("StringEqualsIgnoreCase", "Straße", "straße", true),
            ("StringNotEqualsIgnoreCase", "a", "A", false),
            ("StringLike", "a/*", "a/b/c", true),
            ("StringLike", "a/?", "a/bc", false),
            ("StringNotLike", "a/*", "b", true),
            ("NumericEquals", "10", "10.0", true),
            ("NumericNotEquals", "10", "11", true),
            ("NumericLessThan", "10", "9", true),
            ("NumericLessThan", "10", "10", false),
            ("NumericLessThanEquals", "10", "10", true),
            ("NumericGreaterThan", "10", "10.5", true),
            ("NumericGreaterThanEquals", "10", "9", false),
            ("DateEquals", "2020-04-01T00:00:00Z", "2020-04-01T02:00:00+02:00", true),
            ("DateLessThan", "2020-04-01", "2020-03-31T23:59:59Z", true),
            ("DateGreaterThan", "0", "1970-01-01T00:00:01Z", true),
            ("DateNotEquals", "2020-04-01", "2020-04-02", true),
            ("Bool", "true", "True", true),
            ("Bool", "false", "true", false),
            ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", true),
            ("IpAddress", "203.0.113.0/24", "203.0.113.7", true),
            ("IpAddress", "203.0.113.7", "203.0.113.8", false),
            ("IpAddress", "2001:db8::/32", "2001:db8:1::1", true),
            ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.7", true),
            ("NotIpAddress", "203.0.113.0/24", "198.51.100.1", true),
            ("ArnLike", "arn:aws:iam::*:user/a", "arn:aws:iam::123456789012:user/a", true),
            ("ArnEquals", "arn:aws:iam::*:user/*", "arn:aws:iam::123456789012:user/a", true),
            ("ArnNotLike", "arn:aws:iam::*:role/*", "arn:aws:iam::123456789012:user/a", true),
        ] {
            assert_eq!(holds(operator, &[value], &[given]), Some(expected), "{operator} {value} {given}");
        }
    }

    #[test]
    fn several_values_in_a_policy_are_alternatives_and_in_a_negated_test_all_of_them_count() {
        assert_eq!(holds("StringEquals", &["a", "b"], &["b"]), Some(true));
        assert_eq!(holds("StringNotEquals", &["a", "b"], &["b"]), Some(false));
        assert_eq!(holds("StringNotEquals", &["a", "b"], &["c"]), Some(true));
    }

    /// "If the key is not present": the page of each operator, and "…IfExists condition operators".
    #[test]
    fn a_missing_key_satisfies_only_negated_tests_and_if_exists() {
        for (operator, values, expected) in [
            ("StringEquals", ["a"], false),
            ("StringNotEquals", ["a"], true),
            ("StringEqualsIfExists", ["a"], true),
            ("ForAllValues:StringEquals", ["a"], true),
            ("ForAnyValue:StringEquals", ["a"], false),
            ("ForAnyValue:StringEqualsIfExists", ["a"], true),
            ("Null", ["true"], true),
            ("Null", ["false"], false),
        ] {
            assert_eq!(holds(operator, &values, &[]), Some(expected), "{operator}");
        }
        assert_eq!(holds("Null", &["false"], &["x"]), Some(true));
    }

    /// The examples of "Set operators for multivalued context keys".
    #[test]
    fn quantifiers_look_at_all_values_of_the_request() {
        for (operator, given, expected) in [
            ("ForAllValues:StringEquals", &["a", "b"][..], true),
            ("ForAllValues:StringEquals", &["a", "c"], false),
            ("ForAnyValue:StringEquals", &["a", "c"], true),
            ("ForAnyValue:StringEquals", &["c", "d"], false),
            ("ForAllValues:StringNotEquals", &["c", "d"], true),
            ("ForAllValues:StringNotEquals", &["a", "d"], false),
            ("ForAnyValue:StringNotEquals", &["a", "d"], true),
            ("ForAnyValue:StringNotEquals", &["a", "b"], false),
        ] {
            assert_eq!(holds(operator, &["a", "b"], given), Some(expected), "{operator} {given:?}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_unknown() {
        assert_eq!(holds("NumericLessThan", &["10"], &["many"]), None);
        assert_eq!(holds("NumericNotEquals", &["10"], &["many"]), None);
        assert_eq!(holds("IpAddress", &["203.0.113.0/24"], &["host"]), None);
        assert_eq!(holds("StringNotEquals", &["${aws:missing}"], &["x"]), None);
    }

    #[test]
    fn operators_and_values_that_do_not_exist_are_refused_in_words() {
        let parse = |operator: &str, value: &str| {
            Condition::parse(operator, "aws:Key", &[value.to_owned()], Syntax::Full).map(|_| ()).unwrap_err()
        };
        assert_eq!(parse("StringIs", "a"), "Invalid Condition type : StringIs");
        assert_eq!(parse("ForSome:StringEquals", "a"), "Invalid Condition type : ForSome:StringEquals");
        assert_eq!(parse("NullIfExists", "true"), "Invalid Condition type : NullIfExists");
        for (operator, value) in [
            ("NumericEquals", "ten"),
            ("NumericEquals", "inf"),
            ("DateLessThan", "yesterday"),
            ("Bool", "yes"),
            ("IpAddress", "300.1.1.1"),
            ("ArnLike", "bucket"),
            ("BinaryEquals", "?"),
            ("Null", "maybe"),
        ] {
            assert!(parse(operator, value).starts_with("Invalid value"), "{operator}");
        }
    }
}

//! Policies: parsing them, and what is wrong with one, in words.
//!
//! Source: IAM User Guide, "Grammar of the IAM JSON policy language"; S3 User Guide, "Bucket policies". The messages are those
//! of S3's `MalformedPolicy` where AWS documents or shows them.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::action::{ActionPattern, AppliesTo};
use crate::condition::Condition;
use crate::pattern::{ArnPattern, Syntax};
use crate::principal::NamedPrincipal;
use crate::statement::{Actions, Effect, Principals, Resources, Statement};

/// The largest bucket policy, in bytes (S3 User Guide, "Bucket policies": 20 KB).
pub const BUCKET_POLICY_SIZE_MAX: usize = 20 * 1024;

/// Why a policy is refused, in words for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

fn refuse<T>(message: impl Into<String>) -> Result<T, PolicyError> {
    Err(PolicyError(message.into()))
}

/// What a policy is attached to. It decides which elements a policy must and may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A user, group, role or session: no principals.
    Identity,
    /// The bucket of this name: principals, S3's actions, and resources in this bucket.
    Bucket(&'a str),
    /// Who may assume a role: principals and no resources.
    Trust,
}

/// A policy that was checked.
#[derive(Clone, Debug)]
pub struct Policy {
    /// `Id`.
    pub id: Option<String>,
    /// The statements.
    pub statements: Vec<Statement>,
}

impl Policy {
    /// Parses and checks a policy.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, kind: Kind<'_>) -> Result<Self, PolicyError> {
        if matches!(kind, Kind::Bucket(_)) && text.len() > BUCKET_POLICY_SIZE_MAX {
            return refuse("Policy exceeds the maximum allowed document size.");
        }
        if !text.trim_start().starts_with('{') {
            return refuse("Policies must be valid JSON and the first byte must be '{'");
        }
        let raw: RawPolicy = serde_json::from_str(text).map_err(|error| PolicyError(error.to_string()))?;
        let syntax = match raw.version.as_deref() {
            None | Some("2008-10-17") => Syntax::Wildcards,
            Some("2012-10-17") => Syntax::Full,
            Some(_) => return refuse("The policy must contain a valid version string"),
        };
        let Some(OneOrMany(statements)) = raw.statement else {
            return refuse("Missing required field Statement");
        };
        if statements.is_empty() {
            return refuse("Could not parse the policy: Statement is empty!");
        }
        let mut sids = Vec::new();
        for statement in &statements {
            if let Some(sid) = statement.sid.as_deref().filter(|sid| !sid.is_empty()) {
                if sids.contains(&sid) {
                    return refuse(format!("Statement IDs (SID) in a single policy must be unique: {sid}"));
                }
                sids.push(sid);
            }
        }
        let statements = statements.iter().map(|raw| parse_statement(raw, kind, syntax));
        Ok(Self { id: raw.id, statements: statements.collect::<Result<_, _>>()? })
    }
}

fn parse_statement(raw: &RawStatement, kind: Kind<'_>, syntax: Syntax) -> Result<Statement, PolicyError> {
    let effect = match raw.effect.as_deref() {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        Some(other) => return refuse(format!("Invalid effect: {other}")),
        None => return refuse("Missing required field Effect"),
    };
    let actions = parse_actions(raw, kind)?;
    let resources = parse_resources(raw, kind, syntax)?;
    if let (Kind::Bucket(_), Actions::Listed(actions), Resources::Listed(resources)) =
        (kind, &actions, &resources)
    {
        check_actions_apply(actions, resources)?;
    }
    Ok(Statement {
        sid: raw.sid.clone(),
        effect,
        principals: parse_principals(raw, kind)?,
        actions,
        resources,
        conditions: parse_conditions(raw, syntax)?,
    })
}

fn parse_actions(raw: &RawStatement, kind: Kind<'_>) -> Result<Actions, PolicyError> {
    let parse = |OneOrMany(texts): &OneOrMany<String>| {
        let parse_one = |text: &String| {
            let wrong = || PolicyError("Policy has invalid action".to_owned());
            let action = ActionPattern::parse(text).ok_or_else(wrong)?;
            let exists = text == "*" || action.applies_to().next().is_some();
            if matches!(kind, Kind::Bucket(_)) && !exists { Err(wrong()) } else { Ok(action) }
        };
        texts.iter().map(parse_one).collect::<Result<Vec<_>, _>>()
    };
    match (&raw.action, &raw.not_action) {
        (Some(_), Some(_)) => refuse("Statement has both Action and NotAction"),
        (Some(OneOrMany(texts)), None) | (None, Some(OneOrMany(texts))) if texts.is_empty() => {
            refuse("Missing required field Action cannot be empty!")
        }
        (Some(actions), None) => Ok(Actions::Listed(parse(actions)?)),
        (None, Some(actions)) => Ok(Actions::AllBut(parse(actions)?)),
        (None, None) => refuse("Missing required field Action"),
    }
}

fn parse_resources(raw: &RawStatement, kind: Kind<'_>, syntax: Syntax) -> Result<Resources, PolicyError> {
    let parse = |OneOrMany(texts): &OneOrMany<String>| {
        let parse_one = |text: &String| {
            let wrong = || PolicyError("Policy has invalid resource".to_owned());
            let resource = ArnPattern::parse(text, syntax).ok_or_else(wrong)?;
            match kind {
                Kind::Bucket(bucket) if !is_in_bucket(&resource, bucket) => Err(wrong()),
                _ => Ok(resource),
            }
        };
        texts.iter().map(parse_one).collect::<Result<Vec<_>, _>>()
    };
    match (&raw.resource, &raw.not_resource, kind) {
        (None, None, Kind::Trust) => Ok(Resources::Any),
        (_, _, Kind::Trust) => refuse("Has prohibited field Resource"),
        (Some(_), Some(_), _) => refuse("Statement has both Resource and NotResource"),
        (Some(OneOrMany(texts)), None, _) | (None, Some(OneOrMany(texts)), _) if texts.is_empty() => {
            refuse("Missing required field Resource cannot be empty!")
        }
        (Some(resources), None, _) => Ok(Resources::Listed(parse(resources)?)),
        (None, Some(resources), _) => Ok(Resources::AllBut(parse(resources)?)),
        (None, None, _) => refuse("Missing required field Resource"),
    }
}

/// Whether a resource of a bucket's policy is the bucket or lies in it. Wildcards may only stand behind the bucket's name.
fn is_in_bucket(resource: &ArnPattern, bucket: &str) -> bool {
    let Some(rest) = resource.text().strip_prefix("arn:aws:s3:::") else { return false };
    rest.strip_prefix(bucket).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == "*")
}

/// S3 refuses a statement of which some action applies to none of its resources.
fn check_actions_apply(actions: &[ActionPattern], resources: &[ArnPattern]) -> Result<(), PolicyError> {
    let names_objects =
        |resource: &ArnPattern| resource.text().contains('/') || resource.text().ends_with('*');
    let names_bucket = |resource: &ArnPattern| !resource.text().contains('/');
    for action in actions.iter().filter(|action| action.text() != "*") {
        let applies = action.applies_to().any(|applies_to| match applies_to {
            AppliesTo::Bucket => resources.iter().any(names_bucket),
            AppliesTo::Object => resources.iter().any(names_objects),
            AppliesTo::Account => false,
        });
        if !applies {
            return refuse("Action does not apply to any resource(s) in statement");
        }
    }
    Ok(())
}

fn parse_principals(raw: &RawStatement, kind: Kind<'_>) -> Result<Principals, PolicyError> {
    match (&raw.principal, &raw.not_principal, kind) {
        (None, None, Kind::Identity) => Ok(Principals::TheOwner),
        (_, _, Kind::Identity) => refuse("Policy document should not specify a principal."),
        (Some(_), Some(_), _) => refuse("Statement has both Principal and NotPrincipal"),
        (Some(principals), None, _) => Ok(Principals::Listed(principals.parse()?)),
        (None, Some(principals), _) => Ok(Principals::AllBut(principals.parse()?)),
        (None, None, _) => refuse("Missing required field Principal"),
    }
}

fn parse_conditions(raw: &RawStatement, syntax: Syntax) -> Result<Vec<Condition>, PolicyError> {
    let mut conditions = Vec::new();
    for (operator, keys) in raw.condition.iter().flat_map(|UniqueMap(operators)| operators) {
        for (key, OneOrMany(values)) in &keys.0 {
            if !key.contains(':') {
                return refuse(format!("Policy has an invalid condition key: {key}"));
            }
            if values.is_empty() {
                return refuse(format!("The condition {operator} on {key} has no values"));
            }
            let values: Vec<String> = values.iter().map(Scalar::to_string).collect();
            conditions.push(Condition::parse(operator, key, &values, syntax).map_err(PolicyError)?);
        }
    }
    Ok(conditions)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RawPolicy {
    version: Option<String>,
    id: Option<String>,
    statement: Option<OneOrMany<RawStatement>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RawStatement {
    sid: Option<String>,
    effect: Option<String>,
    principal: Option<RawPrincipals>,
    not_principal: Option<RawPrincipals>,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    condition: Option<UniqueMap<UniqueMap<OneOrMany<Scalar>>>>,
}

/// `"*"`, or principals by their types.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawPrincipals {
    Text(String),
    Typed(UniqueMap<OneOrMany<String>>),
}

impl RawPrincipals {
    fn parse(&self) -> Result<Vec<NamedPrincipal>, PolicyError> {
        let invalid = || PolicyError("Invalid principal in policy".to_owned());
        let types = match self {
            Self::Text(text) if text == "*" => return Ok(vec![NamedPrincipal::Everyone]),
            Self::Text(_) => return Err(invalid()),
            Self::Typed(types) => types,
        };
        let mut principals = Vec::new();
        for (kind, OneOrMany(names)) in &types.0 {
            for name in names {
                principals.push(match kind.as_str() {
                    "AWS" => NamedPrincipal::parse_aws(name).ok_or_else(invalid)?,
                    "CanonicalUser" => NamedPrincipal::CanonicalUser(name.clone()),
                    "Service" | "Federated" => NamedPrincipal::Other(name.clone()),
                    _ => return Err(invalid()),
                });
            }
        }
        if principals.is_empty() { Err(invalid()) } else { Ok(principals) }
    }
}

/// A value, or a list of values.
struct OneOrMany<T>(Vec<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through a value, so that the error is that of the element, and not "no variant matches".
        let value = Strict::deserialize(deserializer)?.0;
        let parsed = match value {
            serde_json::Value::Array(_) => serde_json::from_value(value),
            one => serde_json::from_value(one).map(|one| vec![one]),
        };
        parsed.map(Self).map_err(de::Error::custom)
    }
}

/// Any JSON in which no object has two members of the same name: which of them counts would be a guess.
struct Strict(serde_json::Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = serde_json::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(serde_json::Value::Null)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        let UniqueMap(map) = UniqueVisitor::<Strict>(PhantomData).visit_map(members)?;
        Ok(map
            .into_iter()
            .map(|(name, Strict(value))| (name, value))
            .collect::<serde_json::Map<_, _>>()
            .into())
    }
}

/// An object whose members have different names.
struct UniqueMap<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for UniqueMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for UniqueVisitor<T> {
    type Value = UniqueMap<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((name, value)) = members.next_entry::<String, T>()? {
            if map.contains_key(&name) {
                return Err(de::Error::custom(format_args!("duplicate field `{name}`")));
            }
            map.insert(name, value);
        }
        Ok(UniqueMap(map))
    }
}

/// A value of a condition: AWS takes numbers and booleans too.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Bool(bool),
    Number(serde_json::Number),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

//! Elements that several answers have, and policy documents.

use cairn_policy::{Kind, Policy};
use cairn_protocol::env::Timestamp;
use cairn_protocol::iam::{Group, HolderTags, Role, User};

use crate::query_protocol::{Call, Fault, constraint};
use crate::types::iso8601_seconds;
use crate::uri;
use crate::xml::XmlWriter;

/// The largest value of a parameter with a policy document, in characters (IAM API Reference, "CreatePolicy").
const DOCUMENT_MAX: usize = 131_072;

/// Writes a date.
pub(super) fn date(xml: &mut XmlWriter, name: &str, at: Timestamp) {
    xml.text(name, &iso8601_seconds(at));
}

/// Writes a list: an element with an element `member` for each entry.
pub(super) fn list<T>(xml: &mut XmlWriter, name: &str, entries: &[T], entry: impl Fn(&mut XmlWriter, &T)) {
    xml.element(name, |xml| {
        for one in entries {
            xml.element("member", |xml| entry(xml, one));
        }
    });
}

/// Writes a policy document as AWS does: percent-encoded.
pub(super) fn document(xml: &mut XmlWriter, name: &str, text: &str) {
    xml.text(name, &uri::encode(text.as_bytes(), false));
}

/// Writes tags, if there are any.
pub(super) fn tags(xml: &mut XmlWriter, tags: &HolderTags) {
    if !tags.is_empty() {
        all_tags(xml, tags);
    }
}

/// Writes tags.
pub(super) fn all_tags(xml: &mut XmlWriter, tags: &HolderTags) {
    xml.element("Tags", |xml| {
        for (key, value) in tags {
            xml.element("member", |xml| {
                xml.text("Key", key);
                xml.text("Value", value);
            });
        }
    });
}

fn boundary(xml: &mut XmlWriter, boundary: Option<&str>) {
    if let Some(arn) = boundary {
        xml.element("PermissionsBoundary", |xml| {
            xml.text("PermissionsBoundaryType", "PermissionsBoundaryPolicy");
            xml.text("PermissionsBoundaryArn", arn);
        });
    }
}

/// Writes the content of a user. Listings leave out the boundary and the tags, as AWS's do.
pub(super) fn user(xml: &mut XmlWriter, user: &User, whole: bool) {
    xml.text("Path", &user.path);
    xml.text("UserName", &user.name);
    xml.text("UserId", &user.id);
    xml.text("Arn", &user.arn);
    date(xml, "CreateDate", user.created_at);
    if whole {
        boundary(xml, user.boundary.as_deref());
        tags(xml, &user.tags);
    }
}

/// Writes the content of a group.
pub(super) fn group(xml: &mut XmlWriter, group: &Group) {
    xml.text("Path", &group.path);
    xml.text("GroupName", &group.name);
    xml.text("GroupId", &group.id);
    xml.text("Arn", &group.arn);
    date(xml, "CreateDate", group.created_at);
}

/// Writes the content of a role. Listings leave out the boundary and the tags, as AWS's do.
pub(super) fn role(xml: &mut XmlWriter, role: &Role, whole: bool) {
    xml.text("Path", &role.path);
    xml.text("RoleName", &role.name);
    xml.text("RoleId", &role.id);
    xml.text("Arn", &role.arn);
    date(xml, "CreateDate", role.created_at);
    document(xml, "AssumeRolePolicyDocument", &role.trust);
    if !role.description.is_empty() {
        xml.text("Description", &role.description);
    }
    xml.value("MaxSessionDuration", role.session_s_max);
    if whole {
        boundary(xml, role.boundary.as_deref());
        tags(xml, &role.tags);
    }
}

/// The parameter `Path`; `/` if it is missing.
///
/// # Errors
/// `ValidationError`.
pub(super) fn path(call: &Call, name: &str) -> Result<String, Fault> {
    let Some(path) = call.optional(name) else { return Ok("/".to_owned()) };
    checked_path(name, path)?;
    if path.ends_with('/') {
        Ok(path.to_owned())
    } else {
        Err(constraint(name, path, "begin and end with / and contain only alphanumeric characters and/or /"))
    }
}

/// The parameter `PathPrefix`; empty if it is missing.
///
/// # Errors
/// `ValidationError`.
pub(super) fn path_prefix(call: &Call) -> Result<String, Fault> {
    match call.optional("PathPrefix") {
        None => Ok(String::new()),
        Some(prefix) => checked_path("PathPrefix", prefix).map(str::to_owned),
    }
}

fn checked_path<'a>(name: &str, path: &'a str) -> Result<&'a str, Fault> {
    let printable = path.bytes().all(|byte| (0x21..=0x7f).contains(&byte));
    if path.starts_with('/') && printable && path.len() <= 512 {
        Ok(path)
    } else {
        Err(constraint(
            name,
            path,
            "satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007F]+\\u002F)",
        ))
    }
}

/// A parameter with the policy of an identity, checked.
///
/// # Errors
/// `ValidationError`, and `MalformedPolicyDocument` in words.
pub(super) fn identity_policy(call: &Call) -> Result<String, Fault> {
    let text = call.text("PolicyDocument", (1, DOCUMENT_MAX))?;
    Policy::parse(&text, Kind::Identity).map_err(|error| Fault::malformed_policy(error.to_string()))?;
    Ok(text)
}

/// A parameter with the policy that says who may assume a role, checked.
///
/// # Errors
/// `ValidationError`, and `MalformedPolicyDocument` in words.
pub(super) fn trust_policy_of(call: &Call, name: &str) -> Result<String, Fault> {
    let text = call.text(name, (1, DOCUMENT_MAX))?;
    trust_policy(&text)?;
    Ok(text)
}

/// Parses a policy that says who may assume a role.
///
/// # Errors
/// `MalformedPolicyDocument` in words.
pub(crate) fn trust_policy(text: &str) -> Result<Policy, Fault> {
    Policy::parse(text, Kind::Trust).map_err(|error| Fault::malformed_policy(error.to_string()))
}

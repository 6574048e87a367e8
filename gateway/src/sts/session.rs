//! What the operations that open sessions have in common: session policies, the length, and the answer.

use cairn_policy::{Kind, Policy};
use cairn_protocol::iam::{IamError, NewSession, OpenSession, SESSION_LENGTH_S_MIN, SessionOf};
use http::StatusCode;

use crate::query_protocol::{Call, Fault, characters, constraint};
use crate::types::iso8601_seconds;
use crate::xml::XmlWriter;

/// AWS: the session policies have up to 2,048 characters together, ARNs included.
const POLICIES_MAX: usize = 2048;

/// Upper limit of the managed policies that are passed (STS API Reference, "AssumeRole").
const POLICY_ARNS_MAX: usize = 10;

/// The policies that a request passes to a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Passed {
    pub(super) policy: Option<String>,
    pub(super) policy_arns: Vec<String>,
}

impl Passed {
    /// Reads `Policy` and `PolicyArns`.
    ///
    /// # Errors
    /// `MalformedPolicyDocument`, `PackedPolicyTooLarge` and `ValidationError`.
    pub(super) fn read(call: &Call) -> Result<Self, Fault> {
        let policy = call.optional("Policy").map(str::to_owned);
        if let Some(policy) = &policy {
            Policy::parse(policy, Kind::Identity)
                .map_err(|error| Fault::malformed_policy(error.to_string()))?;
        }
        let mut policy_arns = Vec::new();
        for [arn] in call.parameters.structures("PolicyArns", ["arn"]) {
            let arn = arn.unwrap_or_default();
            policy_arns.push(characters("policyArns", arn, (20, 2048))?.to_owned());
        }
        if policy_arns.len() > POLICY_ARNS_MAX {
            let what = format!("have length less than or equal to {POLICY_ARNS_MAX}");
            return Err(constraint("policyArns", &format!("{policy_arns:?}"), &what));
        }
        let length: usize = policy.iter().chain(&policy_arns).map(|text| text.chars().count()).sum();
        if length > POLICIES_MAX {
            let per_cent = length * 100 / POLICIES_MAX;
            let message =
                format!("Packed policy consumes {per_cent}% of allotted space, please use smaller policy.");
            return Err(Fault::bad("PackedPolicyTooLarge", message));
        }
        Ok(Self { policy, policy_arns })
    }
}

/// The parameter `RoleSessionName`: 2 to 64 of the characters of names.
///
/// # Errors
/// `ValidationError`.
pub(super) fn name(call: &Call) -> Result<String, Fault> {
    let name = call.name("RoleSessionName", 64)?;
    Ok(characters("RoleSessionName", &name, (2, 64))?.to_owned())
}

/// Refuses what AWS would put into a session and Cairn would not.
///
/// # Errors
/// `ValidationError` with the name of the parameter.
pub(super) fn refuse_unsupported(call: &Call) -> Result<(), Fault> {
    for name in
        ["Tags.member.1.Key", "TransitiveTagKeys.member.1", "SourceIdentity", "SerialNumber", "TokenCode"]
    {
        if call.optional(name).is_some() {
            let name = name.split('.').next().unwrap_or(name);
            return Err(Fault::validation(format!("{name} is not supported by this service.")));
        }
    }
    if call.optional("ProvidedContexts.member.1.ProviderArn").is_some() {
        return Err(Fault::validation("ProvidedContexts is not supported by this service."));
    }
    Ok(())
}

/// The length of a role's session: `DurationSeconds`, or one hour. `max` is that of the role.
///
/// # Errors
/// `ValidationError`.
pub(super) fn role_length_s(call: &Call, max: u32) -> Result<u32, Fault> {
    let asked = call.number("DurationSeconds", (SESSION_LENGTH_S_MIN, 43_200))?;
    match asked {
        Some(asked) if asked > max => Err(Fault::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )),
        asked => Ok(asked.unwrap_or(3600)),
    }
}

/// Opens a session.
///
/// # Errors
/// Those of the metanode.
pub(super) async fn open(
    call: &Call,
    account: String,
    of: SessionOf,
    length_s: u32,
    passed: Passed,
) -> Result<NewSession, Fault> {
    let Passed { policy, policy_arns } = passed;
    let request = OpenSession { account, of, length_s, policy, policy_arns };
    match call.gateway.iam.open_session(request).await {
        Err(IamError::NoSuchEntity { kind: cairn_protocol::iam::EntityKind::Policy, name }) => {
            Err(Fault::bad("MalformedPolicyDocument", format!("ARN {name} is not a policy of the account.")))
        }
        other => Ok(other?),
    }
}

/// Writes the credentials of a session.
pub(super) fn credentials(xml: &mut XmlWriter, session: &NewSession) {
    xml.element("Credentials", |xml| {
        xml.text("AccessKeyId", &session.access_key);
        xml.text("SecretAccessKey", &session.secret_key);
        xml.text("SessionToken", &session.token);
        xml.text("Expiration", &iso8601_seconds(session.expires_at));
    });
}

/// `AccessDenied` for a sender that may not assume a role, or a role that does not exist: the answer tells neither.
pub(super) fn not_authorised(sender: Option<&str>, action: &str, role: &str) -> Fault {
    let message = match sender {
        Some(sender) => format!("User: {sender} is not authorized to perform: {action} on resource: {role}"),
        None => format!("Not authorized to perform {action}"),
    };
    Fault::new("AccessDenied", StatusCode::FORBIDDEN, message)
}

//! `AssumeRole`.
//!
//! Sources: STS API Reference, "AssumeRole"; IAM User Guide, "Policy evaluation logic". A trust policy is the policy of its role as a
//! resource: within an account it is enough if it names the sender, or if it names the account and the sender's policies allow
//! `sts:AssumeRole`. Across accounts both must allow.

use cairn_protocol::iam::SessionOf;
use cairn_protocol::metadata::Identity;

use super::role::{RoleArn, is_trusted, usable_trust};
use super::session::{self, Passed};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation, characters};

pub(super) const OPERATIONS: &[Operation] = &[("AssumeRole", |call| Box::pin(assume(call)))];

const ACTION: &str = "sts:AssumeRole";

/// The longest session of a role that another role's session opens, in seconds.
const CHAINED_S_MAX: u32 = 3600;

async fn assume(call: &Call) -> Answered {
    let sender = call.holder()?;
    let arn = RoleArn::read(call)?;
    let name = session::name(call)?;
    let external_id = match call.optional("ExternalId") {
        None => None,
        Some(id) => Some(check_external_id(id)?),
    };
    session::refuse_unsupported(call)?;
    let passed = Passed::read(call)?;
    let is_chained = match sender.identity() {
        Identity::Root { .. } => return Err(Fault::denied("Roles may not be assumed by root accounts.")),
        Identity::User { .. } => false,
        Identity::Role { .. } => true,
    };
    let denied = || session::not_authorised(Some(&sender.arn()), ACTION, &arn.text);
    let role = arn.find(call).await?.ok_or_else(denied)?;
    let trust = usable_trust(&role, &arn).ok_or_else(denied)?;
    let mut context = call.context();
    context.add("sts:RoleSessionName", name.as_str());
    if let Some(id) = external_id {
        context.add("sts:ExternalId", id);
    }
    let is_trusted = is_trusted(&trust, (sender.principal(), ACTION), &arn, &context);
    if !is_trusted || !sender.may_use(ACTION, (&arn.account, &arn.text), &trust, &context) {
        return Err(denied());
    }
    let length_s = session::role_length_s(call, role.session_s_max)?;
    if is_chained && length_s > CHAINED_S_MAX {
        return Err(Fault::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    let (id, role_name) = match role.identity {
        Identity::Role { id, name, .. } => (id, name),
        Identity::Root { .. } | Identity::User { .. } => return Err(Fault::internal("a role is none")),
    };
    let of = SessionOf::Role { id: id.clone(), name: name.clone(), provider: None };
    let session = session::open(call, arn.account.clone(), of, length_s, passed).await?;
    let account = arn.account;
    Ok(Answer::with(move |xml| {
        session::credentials(xml, &session);
        xml.element("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", &format!("{id}:{name}"));
            xml.text("Arn", &format!("arn:aws:sts::{account}:assumed-role/{role_name}/{name}"));
        });
    }))
}

/// AWS: 2 to 1,224 of the characters of names, `:` and `/`.
fn check_external_id(id: &str) -> Result<&str, Fault> {
    characters("externalId", id, (2, 1224))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
    if id.bytes().all(allowed) {
        return Ok(id);
    }
    let what = "satisfy regular expression pattern: [\\w+=,.@:\\/-]*";
    Err(crate::query_protocol::constraint("externalId", id, what))
}

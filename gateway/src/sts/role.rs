//! The role that a session is to have, and its trust policy.

use cairn_policy::principal::{Named, Sender};
use cairn_policy::statement::{Effect, Statement, Subject};
use cairn_policy::{Context, Policy, Principal};
use cairn_protocol::metadata::{FoundRole, Identity, RoleRef};

use super::trust_keys;
use crate::iam::trust_policy;
use crate::query_protocol::{Call, Fault, characters};

/// The parameter `RoleArn`, and what it names.
#[derive(Clone, Debug)]
pub(super) struct RoleArn {
    pub(super) text: String,
    pub(super) account: String,
    /// Path and name.
    full_name: String,
}

impl RoleArn {
    /// Reads the parameter.
    ///
    /// # Errors
    /// `ValidationError`.
    pub(super) fn read(call: &Call) -> Result<Self, Fault> {
        let text = characters("RoleArn", call.required("RoleArn")?, (20, 2048))?.to_owned();
        let invalid = || Fault::validation(format!("{text} is invalid"));
        let rest = text.strip_prefix("arn:aws:iam::").ok_or_else(invalid)?;
        let (account, name) = rest.split_once(":role/").ok_or_else(invalid)?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) || name.is_empty() {
            return Err(invalid());
        }
        Ok(Self { account: account.to_owned(), full_name: name.to_owned(), text })
    }

    /// The role; `None` if there is none of this ARN.
    ///
    /// # Errors
    /// Those of the metanode.
    pub(super) async fn find(&self, call: &Call) -> Result<Option<FoundRole>, Fault> {
        let name = self.full_name.rsplit('/').next().unwrap_or_default().to_owned();
        let request = RoleRef { account: self.account.clone(), role: name.clone() };
        let found = call.gateway.authority.find_role(request).await?;
        // A role is found by its unique id too, and by its name in any case and path.
        Ok(found.filter(|found| match &found.identity {
            Identity::Role { path, name, .. } => {
                format!("{}{name}", path.trim_start_matches('/')) == self.full_name
            }
            _ => false,
        }))
    }
}

/// The trust policy of a role. A policy that cannot be used trusts nobody, and the log says so.
pub(super) fn usable_trust(role: &FoundRole, arn: &RoleArn) -> Option<Policy> {
    let problem = match (trust_policy(&role.trust), trust_keys::unknown(&role.trust)) {
        (Ok(policy), None) => return Some(policy),
        (Ok(_), Some(key)) => format!("no request has the condition key {key}"),
        (Err(fault), _) => fault.message.into_owned(),
    };
    cairn_protocol::warn_self!(role = %arn.text, problem, "nobody can assume a role, because its trust policy cannot be used");
    None
}

/// Whether a trust policy allows a sender an action, by its name or by its account. It is always needed: unlike the policy of a
/// bucket, no identity policy takes its place.
pub(super) fn is_trusted(
    trust: &Policy,
    (principal, action): (&Principal, &str),
    arn: &RoleArn,
    context: &Context,
) -> bool {
    let sender = Sender::new(principal, None);
    let action = action.to_ascii_lowercase();
    let subject = Subject { sender: &sender, action: &action, resource: &arn.text, context };
    let allows = |statement: &Statement| {
        statement.effect == Effect::Allow && statement.applies(&subject) != Named::Not
    };
    trust.statements.iter().any(allows)
}

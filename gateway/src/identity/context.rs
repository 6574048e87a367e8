//! The condition keys that say who sends a request.
//!
//! Source: IAM User Guide, "AWS global condition context keys".

use cairn_policy::{Context, Principal};
use cairn_protocol::metadata::Identity;

use super::{Facts, KeyHolder};
use crate::types::iso8601_seconds;

/// Adds the condition keys of the connection, the head and the time.
pub(crate) fn add_facts(facts: &Facts, context: &mut Context) {
    context.add("aws:SourceIp", facts.address.to_string());
    context.add("aws:SecureTransport", facts.tls.is_some().to_string());
    if let Some(version) = facts.tls {
        context.add("s3:TlsVersion", version.number());
    }
    context.add("aws:RequestedRegion", facts.region.as_str());
    // No other service makes requests for a principal.
    for key in ["aws:ViaAWSService", "aws:PrincipalIsAWSService"] {
        context.add(key, "false");
    }
    context.add("aws:CurrentTime", iso8601_seconds(facts.time));
    context.add("aws:EpochTime", (facts.time.0 / 1000).to_string());
    for (key, value) in [("aws:UserAgent", &facts.user_agent), ("aws:Referer", &facts.referer)] {
        if let Some(value) = value {
            context.add(key, value.as_str());
        }
    }
}

/// Adds the condition keys of the sender.
pub(crate) fn add_holder(holder: &KeyHolder, context: &mut Context) {
    let account = &holder.identity().account().id;
    context.add("aws:PrincipalAccount", account.as_str());
    let session = holder.session();
    let kind = match holder.identity() {
        Identity::Root { .. } => {
            context.add("aws:PrincipalArn", holder.arn());
            context.add("aws:userid", account.as_str());
            "Account"
        }
        Identity::User { id, name, .. } => {
            context.add("aws:PrincipalArn", holder.arn());
            context.add("aws:userid", id.as_str());
            context.add("aws:username", name.as_str());
            "User"
        }
        Identity::Role { id, .. } => {
            // For a session, the ARN is that of its role.
            if let Principal::RoleSession { role, .. } = holder.principal() {
                context.add("aws:PrincipalArn", format!("arn:aws:iam::{account}:role/{role}"));
            }
            let name = session.and_then(|session| session.name.as_deref()).unwrap_or_default();
            context.add("aws:userid", format!("{id}:{name}"));
            "AssumedRole"
        }
    };
    context.add("aws:PrincipalType", kind);
    for (tag, value) in holder.tags() {
        context.add(&format!("aws:PrincipalTag/{tag}"), value.as_str());
    }
    if let Some(session) = session {
        context.add("aws:TokenIssueTime", iso8601_seconds(session.issued_at));
        // Only temporary credentials have this key, and there are no MFA devices here.
        context.add("aws:MultiFactorAuthPresent", "false");
        if let Some(provider) = &session.provider {
            context.add("aws:FederatedProvider", provider.as_str());
        }
    }
}

//! Versions of managed policies.

use cairn_protocol::iam::{ChangePolicyVersion, CreatePolicyVersion, PolicyVersion, PolicyVersionRef};

use super::documents::{date, document, identity_policy, list};
use super::{paging, policies};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation, constraint};
use crate::xml::XmlWriter;

pub(super) const OPERATIONS: &[Operation] = &[
    ("CreatePolicyVersion", |call| Box::pin(create(call))),
    ("GetPolicyVersion", |call| Box::pin(get(call))),
    ("ListPolicyVersions", |call| Box::pin(list_versions(call))),
    ("SetDefaultPolicyVersion", |call| Box::pin(set_default(call))),
    ("DeletePolicyVersion", |call| Box::pin(delete(call))),
];

/// The parameter `VersionId`: `v1`.
fn number(call: &Call) -> Result<u32, Fault> {
    let text = call.required("VersionId")?;
    let number = text.strip_prefix('v').filter(|digits| !digits.starts_with(['+', '0']));
    number.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        constraint("VersionId", text, "satisfy regular expression pattern: v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?")
    })
}

fn write(xml: &mut XmlWriter, version: &PolicyVersion) {
    if let Some(text) = &version.document {
        document(xml, "Document", text);
    }
    xml.text("VersionId", &format!("v{}", version.version));
    xml.value("IsDefaultVersion", version.is_default);
    date(xml, "CreateDate", version.created_at);
}

async fn create(call: &Call) -> Answered {
    let policy = policies::named(call)?;
    let document = identity_policy(call)?;
    let set_default = call.truth("SetAsDefault")?.unwrap_or(false);
    call.authorise("iam:CreatePolicyVersion", &policy.policy)?;
    let request = CreatePolicyVersion { policy, document, set_default, mutation: call.mutation() };
    let made = call.change(|| call.iam().create_policy_version(request.clone())).await?;
    let made = PolicyVersion { document: None, ..made };
    Ok(Answer::with(move |xml| xml.element("PolicyVersion", |xml| write(xml, &made))))
}

async fn get(call: &Call) -> Answered {
    let policy = policies::named(call)?;
    let version = Some(number(call)?);
    call.authorise("iam:GetPolicyVersion", &policy.policy)?;
    let found = call.iam().get_policy_version(PolicyVersionRef { policy, version }).await?;
    Ok(Answer::with(move |xml| xml.element("PolicyVersion", |xml| write(xml, &found))))
}

async fn list_versions(call: &Call) -> Answered {
    let policy = policies::named(call)?;
    call.authorise("iam:ListPolicyVersions", &policy.policy)?;
    let versions = call.iam().list_policy_versions(policy).await?;
    // The latest comes first.
    let (versions, next) =
        paging::cut(call, versions, |version| format!("{:010}", u32::MAX - version.version))?;
    Ok(Answer::with(move |xml| {
        list(xml, "Versions", &versions, write);
        paging::write(xml, next.as_deref());
    }))
}

fn change(call: &Call, action: &'static str) -> Result<ChangePolicyVersion, Fault> {
    let policy = policies::named(call)?;
    let version = number(call)?;
    call.authorise(action, &policy.policy)?;
    Ok(ChangePolicyVersion { policy, version, mutation: call.mutation() })
}

async fn set_default(call: &Call) -> Answered {
    let request = change(call, "iam:SetDefaultPolicyVersion")?;
    call.change(|| call.iam().set_default_policy_version(request.clone())).await?;
    Ok(Answer::empty())
}

async fn delete(call: &Call) -> Answered {
    let request = change(call, "iam:DeletePolicyVersion")?;
    call.change(|| call.iam().delete_policy_version(request.clone())).await?;
    Ok(Answer::empty())
}

//! Managed policies.

use cairn_protocol::iam::{
    CreatePolicy, DeletePolicy, HolderKind, ListPolicies, ListPolicyHolders, ManagedPolicy, PolicyHolder,
    PolicyRef, PolicyScope,
};

use super::documents::{date, identity_policy, list, path, path_prefix};
use super::paging;
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation, constraint};
use crate::xml::XmlWriter;

pub(super) const OPERATIONS: &[Operation] = &[
    ("CreatePolicy", |call| Box::pin(create(call))),
    ("GetPolicy", |call| Box::pin(get(call))),
    ("ListPolicies", |call| Box::pin(list_policies(call))),
    ("DeletePolicy", |call| Box::pin(delete(call))),
    ("ListEntitiesForPolicy", |call| Box::pin(entities(call))),
];

/// The parameter `PolicyArn`.
///
/// # Errors
/// `ValidationError`, and `InvalidInput` for what is no ARN.
pub(super) fn arn(call: &Call) -> Result<String, Fault> {
    let arn = call.text("PolicyArn", (20, 2048))?;
    check_arn(&arn)?;
    Ok(arn)
}

/// Checks that a text is the ARN of a policy.
///
/// # Errors
/// `InvalidInput`.
pub(super) fn check_arn(arn: &str) -> Result<(), Fault> {
    let rest = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':'));
    match rest {
        Some((_, resource)) if resource.starts_with("policy/") => Ok(()),
        _ => Err(Fault::bad("InvalidInput", format!("ARN {arn} is not valid."))),
    }
}

/// The policy that a request names.
///
/// # Errors
/// Those of [`arn`].
pub(super) fn named(call: &Call) -> Result<PolicyRef, Fault> {
    Ok(PolicyRef { account: call.account()?, policy: arn(call)? })
}

fn write(xml: &mut XmlWriter, policy: &ManagedPolicy, whole: bool) {
    xml.text("PolicyName", &policy.name);
    xml.text("PolicyId", &policy.id);
    xml.text("Arn", &policy.arn);
    xml.text("Path", &policy.path);
    xml.text("DefaultVersionId", &format!("v{}", policy.default_version));
    xml.value("AttachmentCount", policy.attachments);
    xml.value("PermissionsBoundaryUsageCount", policy.boundaries);
    xml.value("IsAttachable", true);
    if whole && !policy.description.is_empty() {
        xml.text("Description", &policy.description);
    }
    date(xml, "CreateDate", policy.created_at);
    date(xml, "UpdateDate", policy.updated_at);
}

async fn create(call: &Call) -> Answered {
    let name = call.name("PolicyName", 128)?;
    let path = path(call, "Path")?;
    let description = match call.optional("Description") {
        None => String::new(),
        Some(_) => call.text("Description", (0, 1000))?,
    };
    let document = identity_policy(call)?;
    if call.optional("Tags.member.1.Key").is_some() {
        return Err(Fault::bad("InvalidInput", "Tags of policies are not supported."));
    }
    let account = call.account()?;
    call.authorise("iam:CreatePolicy", &format!("arn:aws:iam::{account}:policy{path}{name}"))?;
    let request = CreatePolicy { account, name, path, description, document, mutation: call.mutation() };
    let made = call.change(|| call.iam().create_policy(request.clone())).await?;
    Ok(Answer::with(move |xml| xml.element("Policy", |xml| write(xml, &made, true))))
}

async fn get(call: &Call) -> Answered {
    let policy = named(call)?;
    call.authorise("iam:GetPolicy", &policy.policy)?;
    let found = call.iam().get_policy(policy).await?;
    Ok(Answer::with(move |xml| xml.element("Policy", |xml| write(xml, &found, true))))
}

async fn list_policies(call: &Call) -> Answered {
    let scope = match call.optional("Scope") {
        None | Some("All") => PolicyScope::All,
        Some("AWS") => PolicyScope::Aws,
        Some("Local") => PolicyScope::Local,
        Some(other) => return Err(constraint("Scope", other, "satisfy enum value set: [All, AWS, Local]")),
    };
    let usage = usage(call, "PolicyUsageFilter")?;
    let only_attached = call.truth("OnlyAttached")?.unwrap_or(false);
    let path_prefix = path_prefix(call)?;
    call.authorise("iam:ListPolicies", &format!("arn:aws:iam::{}:policy/", call.account()?))?;
    // Those built in are on the metanode's first page besides the account's, so pages are made here.
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let (account, path_prefix, max) = (call.account()?, path_prefix.clone(), 1000);
        let request = ListPolicies { account, scope, only_attached: false, path_prefix, after, max };
        let page = call.iam().list_policies(request).await?;
        all.extend(page.entries);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    all.retain(|policy| match (only_attached, usage) {
        (false, _) => true,
        (true, None) => policy.attachments + policy.boundaries > 0,
        (true, Some(Usage::Permissions)) => policy.attachments > 0,
        (true, Some(Usage::Boundary)) => policy.boundaries > 0,
    });
    let (policies, next) = paging::cut(call, all, |policy| policy.arn.clone())?;
    Ok(Answer::with(move |xml| {
        list(xml, "Policies", &policies, |xml, one| write(xml, one, false));
        paging::write(xml, next.as_deref());
    }))
}

async fn delete(call: &Call) -> Answered {
    let policy = named(call)?;
    call.authorise("iam:DeletePolicy", &policy.policy)?;
    let request = DeletePolicy { policy, mutation: call.mutation() };
    call.change(|| call.iam().delete_policy(request.clone())).await?;
    Ok(Answer::empty())
}

/// What a policy is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    Permissions,
    Boundary,
}

fn usage(call: &Call, name: &str) -> Result<Option<Usage>, Fault> {
    match call.optional(name) {
        None => Ok(None),
        Some("PermissionsPolicy") => Ok(Some(Usage::Permissions)),
        Some("PermissionsBoundary") => Ok(Some(Usage::Boundary)),
        Some(other) => {
            let what = "satisfy enum value set: [PermissionsPolicy, PermissionsBoundary]";
            Err(constraint(name, other, what))
        }
    }
}

async fn entities(call: &Call) -> Answered {
    let paging::Asked { after, max } = paging::asked(call)?;
    let kind = match call.optional("EntityFilter") {
        None => None,
        Some("User") => Some(HolderKind::User),
        Some("Group") => Some(HolderKind::Group),
        Some("Role") => Some(HolderKind::Role),
        Some("LocalManagedPolicy" | "AWSManagedPolicy") => {
            return Err(Fault::bad("InvalidInput", "EntityFilter of this action is User, Role or Group."));
        }
        Some(other) => {
            let what = "satisfy enum value set: [User, Role, Group, LocalManagedPolicy, AWSManagedPolicy]";
            return Err(constraint("EntityFilter", other, what));
        }
    };
    let usage = usage(call, "PolicyUsageFilter")?;
    let policy = named(call)?;
    call.authorise("iam:ListEntitiesForPolicy", &policy.policy)?;
    let page = call.iam().list_policy_holders(ListPolicyHolders { policy, after, max }).await?;
    let is_asked = |holder: &PolicyHolder| {
        let of_kind = kind.is_none_or(|kind| holder.kind == kind);
        of_kind
            && match usage {
                None => true,
                Some(Usage::Permissions) => holder.attached,
                Some(Usage::Boundary) => holder.boundary,
            }
    };
    let holders: Vec<_> = page.entries.into_iter().filter(is_asked).collect();
    Ok(Answer::with(move |xml| {
        let kinds = [
            (HolderKind::Group, "PolicyGroups", "GroupName", "GroupId"),
            (HolderKind::User, "PolicyUsers", "UserName", "UserId"),
            (HolderKind::Role, "PolicyRoles", "RoleName", "RoleId"),
        ];
        for (kind, element, name, id) in kinds {
            let of_kind: Vec<_> = holders.iter().filter(|holder| holder.kind == kind).collect();
            list(xml, element, &of_kind, |xml, holder| {
                xml.text(name, &holder.name);
                xml.text(id, &holder.id);
            });
        }
        paging::write(xml, page.next.as_deref());
    }))
}

//! Managed policies that are attached to users, groups and roles.

use cairn_protocol::iam::{AttachedPolicy, HolderKind, PolicyAttachment};

use super::documents::{list, path_prefix};
use super::{paging, policies, target};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("AttachUserPolicy", |call| Box::pin(attach(call, HolderKind::User))),
    ("AttachGroupPolicy", |call| Box::pin(attach(call, HolderKind::Group))),
    ("AttachRolePolicy", |call| Box::pin(attach(call, HolderKind::Role))),
    ("DetachUserPolicy", |call| Box::pin(detach(call, HolderKind::User))),
    ("DetachGroupPolicy", |call| Box::pin(detach(call, HolderKind::Group))),
    ("DetachRolePolicy", |call| Box::pin(detach(call, HolderKind::Role))),
    ("ListAttachedUserPolicies", |call| Box::pin(list_attached(call, HolderKind::User))),
    ("ListAttachedGroupPolicies", |call| Box::pin(list_attached(call, HolderKind::Group))),
    ("ListAttachedRolePolicies", |call| Box::pin(list_attached(call, HolderKind::Role))),
];

async fn attach(call: &Call, kind: HolderKind) -> Answered {
    let request = attachment(call, kind).await?;
    call.change(|| call.iam().attach_policy(request.clone())).await?;
    Ok(Answer::empty())
}

async fn detach(call: &Call, kind: HolderKind) -> Answered {
    let request = attachment(call, kind).await?;
    call.change(|| call.iam().detach_policy(request.clone())).await?;
    Ok(Answer::empty())
}

async fn attachment(call: &Call, kind: HolderKind) -> Result<PolicyAttachment, Fault> {
    let policy = policies::arn(call)?;
    let target = target::named(call, kind).await?;
    let mut context = call.context();
    context.add("iam:PolicyARN", policy.as_str());
    if let Some(boundary) = &target.boundary {
        context.add("iam:PermissionsBoundary", boundary.as_str());
    }
    call.authorise_with(&format!("iam:{}", call.action), &target.arn, &context)?;
    Ok(PolicyAttachment { holder: target.holder, policy, mutation: call.mutation() })
}

async fn list_attached(call: &Call, kind: HolderKind) -> Answered {
    let prefix = path_prefix(call)?;
    let target = target::named(call, kind).await?;
    call.authorise(&format!("iam:{}", call.action), &target.arn)?;
    let attached = call.iam().list_attached_policies(target.holder).await?;
    let has_prefix = |policy: &AttachedPolicy| {
        policy.arn.split_once(":policy").is_some_and(|(_, path)| path.starts_with(&prefix))
    };
    let attached = attached.into_iter().filter(has_prefix).collect();
    let (attached, next) = paging::cut(call, attached, |policy: &AttachedPolicy| policy.arn.clone())?;
    Ok(Answer::with(move |xml| {
        list(xml, "AttachedPolicies", &attached, |xml, policy| {
            xml.text("PolicyName", &policy.name);
            xml.text("PolicyArn", &policy.arn);
        });
        paging::write(xml, next.as_deref());
    }))
}

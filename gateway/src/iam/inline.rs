//! Inline policies of users, groups and roles.

use cairn_protocol::iam::{DeleteInlinePolicy, HolderKind, InlinePolicyRef, PutInlinePolicy};

use super::documents::{document, identity_policy};
use super::paging;
use super::target::{self, Target};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("PutUserPolicy", |call| Box::pin(put(call, HolderKind::User))),
    ("PutGroupPolicy", |call| Box::pin(put(call, HolderKind::Group))),
    ("PutRolePolicy", |call| Box::pin(put(call, HolderKind::Role))),
    ("GetUserPolicy", |call| Box::pin(get(call, HolderKind::User))),
    ("GetGroupPolicy", |call| Box::pin(get(call, HolderKind::Group))),
    ("GetRolePolicy", |call| Box::pin(get(call, HolderKind::Role))),
    ("DeleteUserPolicy", |call| Box::pin(delete(call, HolderKind::User))),
    ("DeleteGroupPolicy", |call| Box::pin(delete(call, HolderKind::Group))),
    ("DeleteRolePolicy", |call| Box::pin(delete(call, HolderKind::Role))),
    ("ListUserPolicies", |call| Box::pin(list(call, HolderKind::User))),
    ("ListGroupPolicies", |call| Box::pin(list(call, HolderKind::Group))),
    ("ListRolePolicies", |call| Box::pin(list(call, HolderKind::Role))),
];

/// The user, group or role, if the sender may do the action of the request with it.
async fn authorised(call: &Call, kind: HolderKind) -> Result<Target, Fault> {
    let target = target::named(call, kind).await?;
    let mut context = call.context();
    if let Some(boundary) = &target.boundary {
        context.add("iam:PermissionsBoundary", boundary.as_str());
    }
    call.authorise_with(&format!("iam:{}", call.action), &target.arn, &context)?;
    Ok(target)
}

async fn put(call: &Call, kind: HolderKind) -> Answered {
    let name = call.name("PolicyName", 128)?;
    let document = identity_policy(call)?;
    let holder = authorised(call, kind).await?.holder;
    let request = PutInlinePolicy { holder, name, document, mutation: call.mutation() };
    call.change(|| call.iam().put_inline_policy(request.clone())).await?;
    Ok(Answer::empty())
}

async fn get(call: &Call, kind: HolderKind) -> Answered {
    let name = call.name("PolicyName", 128)?;
    let holder = authorised(call, kind).await?.holder;
    let of = holder.name.clone();
    let found = call.iam().get_inline_policy(InlinePolicyRef { holder, name }).await?;
    Ok(Answer::with(move |xml| {
        xml.text(target::parameter(kind), &of);
        xml.text("PolicyName", &found.name);
        document(xml, "PolicyDocument", &found.document);
    }))
}

async fn delete(call: &Call, kind: HolderKind) -> Answered {
    let name = call.name("PolicyName", 128)?;
    let holder = authorised(call, kind).await?.holder;
    let request = DeleteInlinePolicy { holder, name, mutation: call.mutation() };
    call.change(|| call.iam().delete_inline_policy(request.clone())).await?;
    Ok(Answer::empty())
}

async fn list(call: &Call, kind: HolderKind) -> Answered {
    let holder = authorised(call, kind).await?.holder;
    let names = call.iam().list_inline_policies(holder).await?;
    let (names, next) = paging::cut(call, names, Clone::clone)?;
    Ok(Answer::with(move |xml| {
        xml.element("PolicyNames", |xml| {
            for name in &names {
                xml.text("member", name);
            }
        });
        paging::write(xml, next.as_deref());
    }))
}

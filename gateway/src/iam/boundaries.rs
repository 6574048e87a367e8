//! Permissions boundaries of users and roles.

use cairn_protocol::iam::{DeleteBoundary, HolderKind, PutBoundary};

use super::{policies, target};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("PutUserPermissionsBoundary", |call| Box::pin(put(call, HolderKind::User))),
    ("PutRolePermissionsBoundary", |call| Box::pin(put(call, HolderKind::Role))),
    ("DeleteUserPermissionsBoundary", |call| Box::pin(delete(call, HolderKind::User))),
    ("DeleteRolePermissionsBoundary", |call| Box::pin(delete(call, HolderKind::Role))),
];

/// The parameter `PermissionsBoundary`: the ARN of a policy.
///
/// # Errors
/// `ValidationError`, and `InvalidInput` for what is no ARN.
pub(super) fn parameter(call: &Call) -> Result<Option<String>, Fault> {
    if call.optional("PermissionsBoundary").is_none() {
        return Ok(None);
    }
    let arn = call.text("PermissionsBoundary", (20, 2048))?;
    policies::check_arn(&arn)?;
    Ok(Some(arn))
}

async fn put(call: &Call, kind: HolderKind) -> Answered {
    call.required("PermissionsBoundary")?;
    let policy = parameter(call)?.unwrap_or_default();
    let target = target::named(call, kind).await?;
    let context = call.context().with("iam:PermissionsBoundary", policy.as_str());
    call.authorise_with(&format!("iam:{}", call.action), &target.arn, &context)?;
    let request = PutBoundary { holder: target.holder, policy, mutation: call.mutation() };
    call.change(|| call.iam().put_boundary(request.clone())).await?;
    Ok(Answer::empty())
}

async fn delete(call: &Call, kind: HolderKind) -> Answered {
    let target = target::named(call, kind).await?;
    let mut context = call.context();
    if let Some(boundary) = &target.boundary {
        context.add("iam:PermissionsBoundary", boundary.as_str());
    }
    call.authorise_with(&format!("iam:{}", call.action), &target.arn, &context)?;
    let request = DeleteBoundary { holder: target.holder, mutation: call.mutation() };
    call.change(|| call.iam().delete_boundary(request.clone())).await?;
    Ok(Answer::empty())
}

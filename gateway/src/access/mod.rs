//! Whether a caller may do what a request asks for: the permissions that each operation needs, and the decision.
//!
//! | module | what is there |
//! |---|---|
//! | [`context`] | the condition keys of a request |
//! | [`permission`] | what an operation needs |
//!
//! The root user of the account that owns the buckets may do everything. A user may do what its policies allow. Every other
//! identity may do nothing, because no bucket has a policy or an ACL that names it.

mod context;
mod permission;

pub(crate) use permission::Permission;

use cairn_protocol::metadata::MetadataError::{DeleteMarker, NoSuchBucket, NoSuchKey, NoSuchVersion};
use cairn_protocol::metadata::{Identity, LookupObject, LookupRange, Tags};

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::identity::KeyHolder;
use crate::request::Request;

/// Checks that the caller of a request has all these permissions. The body is not read yet.
///
/// # Errors
/// `AccessDenied` for the first permission that the caller lacks; the metanode's, if tags of an object must be looked up.
pub(crate) async fn authorise(
    gateway: &Gateway,
    request: &Request,
    permissions: &[Permission],
) -> S3Result<()> {
    authorise_with(gateway, request, permissions, &Tags::new()).await
}

/// The same, for a request whose document has these tags.
///
/// # Errors
/// Those of [`authorise`].
pub(crate) async fn authorise_with(
    gateway: &Gateway,
    request: &Request,
    permissions: &[Permission],
    tags: &Tags,
) -> S3Result<()> {
    let holder = request.caller.holder();
    let mut context = context::of(request);
    context::add_tags(tags, &mut context);
    for permission in permissions {
        let resource = permission.resource_arn();
        let allowed = if holder.reads_object_tags() {
            let mut context = context.clone();
            add_object_tags(gateway, permission, &mut context).await?;
            holder.allows(permission.action, &resource, &context)
        } else {
            holder.allows(permission.action, &resource, &context)
        };
        if !allowed {
            return Err(denied(holder, permission.action, &resource));
        }
    }
    Ok(())
}

/// AWS's words for what no identity policy allows.
fn denied(holder: &KeyHolder, action: &str, resource: &str) -> S3Error {
    S3Error::with_message(
        ErrorCode::AccessDenied,
        match holder.identity() {
            Identity::User { .. } | Identity::Role { .. } => format!(
                "User: {} is not authorized to perform: {action} on resource: \"{resource}\"",
                holder.arn()
            ),
            Identity::Root { .. } => "Access Denied".to_owned(),
        },
    )
}

/// Adds the tags of the object that a permission is about. An object that does not exist has none.
async fn add_object_tags(
    gateway: &Gateway,
    permission: &Permission,
    context: &mut cairn_policy::Context,
) -> S3Result<()> {
    let Some((bucket, key)) = permission.object() else { return Ok(()) };
    let request = LookupObject {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version: permission.version,
        range: LookupRange::Whole,
        extents_max: 0,
    };
    match gateway.metadata.lookup_object(request).await {
        Ok(found) => {
            for (tag, value) in found.object.tags {
                context.add(&format!("s3:ExistingObjectTag/{tag}"), value);
            }
            Ok(())
        }
        Err(NoSuchKey | NoSuchVersion | NoSuchBucket { .. } | DeleteMarker { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

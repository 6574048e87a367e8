//! The user, group or role that a request names.

use cairn_protocol::iam::{EntityRef, GetGroup, HolderKind, HolderRef, IamError};
use cairn_protocol::metadata::Identity;

use crate::query_protocol::{Call, Fault};

/// A user, group or role, which need not exist. The ARN of what exists has its path, and so it is looked up before the sender's
/// permission is checked.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its account, kind and name.
    pub(super) holder: HolderRef,
    /// Its ARN.
    pub(super) arn: String,
    /// The ARN of its permissions boundary.
    pub(super) boundary: Option<String>,
}

impl Target {
    /// The same as users, groups and roles are named where the call says which is meant.
    pub(super) fn entity(&self) -> EntityRef {
        EntityRef { account: self.holder.account.clone(), name: self.holder.name.clone() }
    }
}

/// The largest length of the name of a user, group or role.
fn length(kind: HolderKind) -> usize {
    if kind == HolderKind::Group { 128 } else { 64 }
}

/// The parameter that names a user, group or role.
pub(super) fn parameter(kind: HolderKind) -> &'static str {
    match kind {
        HolderKind::User => "UserName",
        HolderKind::Group => "GroupName",
        HolderKind::Role => "RoleName",
    }
}

/// The name of a new user, group or role.
///
/// # Errors
/// `ValidationError`.
pub(super) fn new_name(call: &Call, kind: HolderKind, parameter: &str) -> Result<String, Fault> {
    call.name(parameter, length(kind))
}

/// The ARN of a user, group or role of the sender's account.
///
/// # Errors
/// `MissingAuthenticationToken` for a request without a signature.
pub(super) fn arn(call: &Call, kind: HolderKind, path: &str, name: &str) -> Result<String, Fault> {
    Ok(format!("arn:aws:iam::{}:{kind}{path}{name}", call.account()?))
}

/// The user, group or role that a request names.
///
/// # Errors
/// `ValidationError`, and those of the metanode.
pub(super) async fn named(call: &Call, kind: HolderKind) -> Result<Target, Fault> {
    let name = call.name(parameter(kind), 128)?;
    of(call, kind, name).await
}

/// The user that a request names, or the sender itself if it names none; `None` for the root user.
///
/// # Errors
/// `ValidationError` for a sender that is no user and names none, and those of the metanode.
pub(super) async fn user_or_sender(call: &Call) -> Result<Option<Target>, Fault> {
    if call.optional("UserName").is_some() {
        return named(call, HolderKind::User).await.map(Some);
    }
    match call.holder()?.identity() {
        Identity::Root { .. } => Ok(None),
        Identity::User { name, .. } => of(call, HolderKind::User, name.clone()).await.map(Some),
        Identity::Role { .. } => {
            Err(Fault::validation("Must specify userName when calling with non-User credentials"))
        }
    }
}

/// A user, group or role of this name.
///
/// # Errors
/// Those of the metanode, except that it does not exist.
pub(super) async fn of(call: &Call, kind: HolderKind, name: String) -> Result<Target, Fault> {
    let account = call.account()?;
    let entity = EntityRef { account: account.clone(), name: name.clone() };
    let iam = call.iam();
    let found = match kind {
        HolderKind::User => iam.get_user(entity).await.map(|user| (user.arn, user.boundary)),
        HolderKind::Role => iam.get_role(entity).await.map(|role| (role.arn, role.boundary)),
        HolderKind::Group => {
            let request = GetGroup { account: account.clone(), name: name.clone(), after: None, max: 1 };
            iam.get_group(request).await.map(|found| (found.group.arn, None))
        }
    };
    let (arn, boundary) = match found {
        Ok(found) => found,
        Err(IamError::NoSuchEntity { .. }) => (arn(call, kind, "/", &name)?, None),
        Err(error) => return Err(error.into()),
    };
    Ok(Target { holder: HolderRef { account, kind, name }, arn, boundary })
}

//! What users, groups and roles have in common.

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::iam::{
    DeleteEntity, EntityRef, HolderKind, HolderRef, HolderTags, IamError, ListEntities, Page, UpdateEntity,
};
use futures_util::FutureExt;

use super::policy_ref::PolicyAccount;
use super::{
    Effect, Identities, account, arns, built_in, exists, no_such, page, page_size, policy_ref, random, rules,
};
use crate::store::Connection;
use crate::store::iam::holder_changes::{self, Ties};
use crate::store::iam::holders::{self, Holder, NewHolder, RoleProperties};
use crate::store::iam::{AccountNumber, PolicyId};

/// What a user, group or role is created with.
pub(super) struct Creation {
    pub(super) kind: HolderKind,
    pub(super) account: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) boundary: Option<String>,
    pub(super) tags: HolderTags,
    pub(super) role: Option<RoleProperties>,
}

/// Creates a user, group or role.
pub(super) async fn create(
    tx: &mut Connection,
    creation: Creation,
    env: &Env,
    now: Timestamp,
) -> Result<Holder, IamError> {
    let Creation { kind, account: id, name, path, boundary, tags, role } = creation;
    rules::name(kind.into(), &name)?;
    rules::path(&path)?;
    rules::tags(&tags)?;
    let number = account(tx, &id).await?;
    let boundary = match boundary {
        None => None,
        Some(policy) => {
            Some(policy_ref::find(tx, PolicyAccount { number, id: &id }, &policy).await?.policy())
        }
    };
    let prefix = match kind {
        HolderKind::User => "AIDA",
        HolderKind::Group => "AGPA",
        HolderKind::Role => "AROA",
    };
    let unique_id = random::unique_id(env, prefix);
    let new = NewHolder { kind, unique_id, path, name, boundary, tags, role };
    if !holder_changes::insert(tx, number, &new, now).await? {
        return Err(exists(kind.into(), &new.name));
    }
    find_in(tx, number, kind, &new.name).await
}

/// Finds a user, group or role, and the number of its account.
pub(super) async fn find(
    connection: &mut Connection,
    holder: &HolderRef,
) -> Result<(AccountNumber, Holder), IamError> {
    let number = account(connection, &holder.account).await?;
    Ok((number, find_in(connection, number, holder.kind, &holder.name).await?))
}

/// Finds a user, group or role in an account.
pub(super) async fn find_in(
    connection: &mut Connection,
    account: AccountNumber,
    kind: HolderKind,
    name: &str,
) -> Result<Holder, IamError> {
    holders::find(connection, account, kind, name).await?.ok_or_else(|| no_such(kind.into(), name))
}

/// Finds a user or role. A group has no boundary and no tags.
pub(super) async fn find_no_group(
    connection: &mut Connection,
    holder: &HolderRef,
) -> Result<(AccountNumber, Holder), IamError> {
    if holder.kind == HolderKind::Group {
        return Err(super::invalid("a group has no permissions boundary and no tags"));
    }
    find(connection, holder).await
}

/// The ARN of the permissions boundary.
pub(super) fn boundary_arn(account: &str, holder: &Holder) -> Option<String> {
    policy_arn(account, holder.properties.boundary?, holder.boundary_name.as_ref())
}

/// The ARN of a policy of this number. Path and name are known unless it is built in.
pub(super) fn policy_arn(account: &str, policy: PolicyId, name: Option<&(String, String)>) -> Option<String> {
    match name {
        Some((path, name)) => Some(arns::policy(account, path, name)),
        None => built_in::by_number(policy).map(built_in::BuiltIn::arn),
    }
}

impl Identities {
    pub(super) async fn get_holder(&self, kind: HolderKind, request: &EntityRef) -> Result<Holder, IamError> {
        let mut reader = self.store.read().await?;
        let number = account(&mut reader, &request.account).await?;
        find_in(&mut reader, number, kind, &request.name).await
    }

    pub(super) async fn list_holders<T>(
        &self,
        kind: HolderKind,
        request: ListEntities,
        entry: impl Fn(&str, Holder) -> T,
    ) -> Result<Page<T>, IamError> {
        let (rows, size) = page_size(request.max);
        let after = request.after.unwrap_or_default();
        let mut reader = self.store.read().await?;
        let number = account(&mut reader, &request.account).await?;
        let found = holders::list(&mut reader, number, kind, &request.path_prefix, &after, rows).await?;
        Ok(page(
            found,
            size,
            |holder| holder.properties.name.clone(),
            |holder| entry(&request.account, holder),
        ))
    }

    /// Changes name and path. Returns the holder under its new name.
    pub(super) async fn update_holder(
        &self,
        kind: HolderKind,
        request: UpdateEntity,
    ) -> Result<EntityRef, IamError> {
        let id = request.account.clone();
        let renamed = self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = account(tx, &request.account).await?;
                let holder = find_in(tx, number, kind, &request.name).await?;
                let name = request.new_name.unwrap_or_else(|| holder.properties.name.clone());
                let path = request.new_path.unwrap_or_else(|| holder.properties.path.clone());
                rules::name(kind.into(), &name)?;
                rules::path(&path)?;
                if !holder_changes::rename(tx, &holder, &name, &path).await? {
                    return Err(exists(kind.into(), &name));
                }
                Ok(name)
            }
            .boxed()
        });
        Ok(EntityRef { account: id, name: renamed.await? })
    }

    /// Deletes a user, group or role without ties.
    pub(super) async fn delete_holder(
        &self,
        kind: HolderKind,
        request: DeleteEntity,
    ) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = account(tx, &request.account).await?;
                let holder = find_in(tx, number, kind, &request.name).await?;
                if let Some(ties) = describe(kind, holder_changes::ties(tx, holder.holder).await?) {
                    let reason = format!("{kind} {} has {ties}; remove them first", holder.properties.name);
                    return Err(IamError::DeleteConflict { reason });
                }
                Ok(holder_changes::delete(tx, holder.holder).await?)
            }
            .boxed()
        })
        .await
    }
}

/// What keeps a user, group or role from being deleted, in words; `None` if nothing does.
fn describe(kind: HolderKind, ties: Ties) -> Option<String> {
    let members = if kind == HolderKind::Group { "members" } else { "group memberships" };
    let ties = [
        ("access keys", ties.keys),
        ("inline policies", ties.inline),
        ("attached policies", ties.attached),
        (members, ties.memberships),
    ];
    let ties: Vec<_> = ties.iter().filter(|(_, count)| *count > 0).map(|(what, _)| *what).collect();
    (!ties.is_empty()).then(|| ties.join(", "))
}

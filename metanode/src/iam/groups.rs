//! Groups and their members.

use cairn_protocol::iam::{
    CreateGroup, EntityKind, EntityRef, GetGroup, Group, GroupMembers, HolderKind, HolderTags, IamError,
    ListEntities, Membership, Page, UpdateEntity,
};
use futures_util::FutureExt;

use super::holders::{self, Creation};
use super::users::user;
use super::{Effect, Identities, account, arns, no_such, page, page_size};
use crate::store::Connection;
use crate::store::iam::holders::Holder;
use crate::store::iam::{HolderId, members};

/// Upper limit of the groups of a user.
const GROUPS_MAX: usize = 10;

impl Identities {
    pub(super) async fn create_group(&self, request: CreateGroup) -> Result<Group, IamError> {
        let env = self.env.clone();
        let CreateGroup { account, name, path, mutation } = request;
        self.change(mutation, Effect::Adds, move |tx, now| {
            async move {
                let id = account.clone();
                let (kind, tags) = (HolderKind::Group, HolderTags::new());
                let creation = Creation { kind, account, name, path, boundary: None, tags, role: None };
                Ok(group(&id, holders::create(tx, creation, &env, now).await?))
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn get_group(&self, request: GetGroup) -> Result<GroupMembers, IamError> {
        let GetGroup { account: id, name, after, max } = request;
        let (rows, size) = page_size(max);
        let mut snapshot = self.store.snapshot().await?;
        let number = account(&mut snapshot, &id).await?;
        let found = holders::find_in(&mut snapshot, number, HolderKind::Group, &name).await?;
        let after = after.unwrap_or_default();
        let members = crate::store::iam::holders::members(&mut snapshot, found.holder, &after, rows).await?;
        let members =
            page(members, size, |member| member.properties.name.clone(), |member| user(&id, member));
        Ok(GroupMembers { group: group(&id, found), members })
    }

    pub(super) async fn list_groups(&self, request: ListEntities) -> Result<Page<Group>, IamError> {
        self.list_holders(HolderKind::Group, request, group).await
    }

    pub(super) async fn list_groups_of_user(&self, request: EntityRef) -> Result<Vec<Group>, IamError> {
        let mut reader = self.store.read().await?;
        let number = account(&mut reader, &request.account).await?;
        let user = holders::find_in(&mut reader, number, HolderKind::User, &request.name).await?;
        let groups = crate::store::iam::holders::groups(&mut reader, user.holder).await?;
        Ok(groups.into_iter().map(|holder| group(&request.account, holder)).collect())
    }

    pub(super) async fn update_group(&self, request: UpdateEntity) -> Result<Group, IamError> {
        let updated = self.update_holder(HolderKind::Group, request).await?;
        Ok(group(&updated.account, self.get_holder(HolderKind::Group, &updated).await?))
    }

    pub(super) async fn add_group_member(&self, request: Membership) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (group, user) = both(tx, &request).await?;
                let groups = crate::store::iam::holders::groups(tx, user).await?;
                if groups.iter().any(|member_of| member_of.holder == group) {
                    return Ok(());
                }
                if groups.len() >= GROUPS_MAX {
                    let reason = format!("a user is in up to {GROUPS_MAX} groups");
                    return Err(IamError::LimitExceeded { reason });
                }
                Ok(members::insert(tx, group, user).await?)
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn remove_group_member(&self, request: Membership) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (group, user) = both(tx, &request).await?;
                if !members::delete(tx, group, user).await? {
                    return Err(no_such(EntityKind::GroupMember, &request.user));
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }
}

/// The group and the user of a membership.
async fn both(connection: &mut Connection, request: &Membership) -> Result<(HolderId, HolderId), IamError> {
    let number = account(connection, &request.account).await?;
    let group = holders::find_in(connection, number, HolderKind::Group, &request.group).await?;
    let user = holders::find_in(connection, number, HolderKind::User, &request.user).await?;
    Ok((group.holder, user.holder))
}

/// The group of a row.
fn group(account: &str, holder: Holder) -> Group {
    let created_at = holder.created_at;
    let properties = holder.properties;
    Group {
        arn: arns::holder(account, HolderKind::Group, &properties.path, &properties.name),
        id: properties.unique_id,
        path: properties.path,
        name: properties.name,
        created_at,
    }
}

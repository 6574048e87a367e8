//! Groups and their members.

use cairn_protocol::iam::{
    CreateGroup, DeleteEntity, GetGroup, HolderKind, ListEntities, Membership, UpdateEntity,
};

use super::documents::{group, list, path, path_prefix, user};
use super::{paging, target};
use crate::query_protocol::{Answer, Answered, Call, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("CreateGroup", |call| Box::pin(create(call))),
    ("GetGroup", |call| Box::pin(get(call))),
    ("ListGroups", |call| Box::pin(list_groups(call))),
    ("ListGroupsForUser", |call| Box::pin(list_of_user(call))),
    ("UpdateGroup", |call| Box::pin(update(call))),
    ("DeleteGroup", |call| Box::pin(delete(call))),
    ("AddUserToGroup", |call| Box::pin(add(call))),
    ("RemoveUserFromGroup", |call| Box::pin(remove(call))),
];

async fn create(call: &Call) -> Answered {
    let name = target::new_name(call, HolderKind::Group, "GroupName")?;
    let path = path(call, "Path")?;
    call.authorise("iam:CreateGroup", &target::arn(call, HolderKind::Group, &path, &name)?)?;
    let request = CreateGroup { account: call.account()?, name, path, mutation: call.mutation() };
    let made = call.change(|| call.iam().create_group(request.clone())).await?;
    Ok(Answer::with(move |xml| xml.element("Group", |xml| group(xml, &made))))
}

async fn get(call: &Call) -> Answered {
    let paging::Asked { after, max } = paging::asked(call)?;
    let target = target::named(call, HolderKind::Group).await?;
    call.authorise("iam:GetGroup", &target.arn)?;
    let request = GetGroup { account: call.account()?, name: target.holder.name, after, max };
    let found = call.iam().get_group(request).await?;
    Ok(Answer::with(move |xml| {
        xml.element("Group", |xml| group(xml, &found.group));
        list(xml, "Users", &found.members.entries, |xml, one| user(xml, one, false));
        paging::write(xml, found.members.next.as_deref());
    }))
}

async fn list_groups(call: &Call) -> Answered {
    let paging::Asked { after, max } = paging::asked(call)?;
    let path_prefix = path_prefix(call)?;
    let prefix = if path_prefix.is_empty() { "/" } else { &path_prefix };
    call.authorise("iam:ListGroups", &target::arn(call, HolderKind::Group, prefix, "")?)?;
    let request = ListEntities { account: call.account()?, path_prefix, after, max };
    let page = call.iam().list_groups(request).await?;
    Ok(Answer::with(move |xml| {
        list(xml, "Groups", &page.entries, group);
        paging::write(xml, page.next.as_deref());
    }))
}

async fn list_of_user(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::User).await?;
    call.authorise("iam:ListGroupsForUser", &target.arn)?;
    let groups = call.iam().list_groups_of_user(target.entity()).await?;
    let (groups, next) = paging::cut(call, groups, |group| group.name.clone())?;
    Ok(Answer::with(move |xml| {
        list(xml, "Groups", &groups, group);
        paging::write(xml, next.as_deref());
    }))
}

async fn update(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::Group).await?;
    let new_name = match call.optional("NewGroupName") {
        None => None,
        Some(_) => Some(target::new_name(call, HolderKind::Group, "NewGroupName")?),
    };
    let new_path = match call.optional("NewPath") {
        None => None,
        Some(_) => Some(path(call, "NewPath")?),
    };
    call.authorise("iam:UpdateGroup", &target.arn)?;
    let (account, name, mutation) = (call.account()?, target.holder.name, call.mutation());
    let request = UpdateEntity { account, name, new_name, new_path, mutation };
    call.change(|| call.iam().update_group(request.clone())).await?;
    Ok(Answer::empty())
}

async fn delete(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::Group).await?;
    call.authorise("iam:DeleteGroup", &target.arn)?;
    let (account, name, mutation) = (call.account()?, target.holder.name, call.mutation());
    let request = DeleteEntity { account, name, mutation };
    call.change(|| call.iam().delete_group(request.clone())).await?;
    Ok(Answer::empty())
}

async fn add(call: &Call) -> Answered {
    let request = membership(call, "iam:AddUserToGroup").await?;
    call.change(|| call.iam().add_group_member(request.clone())).await?;
    Ok(Answer::empty())
}

async fn remove(call: &Call) -> Answered {
    let request = membership(call, "iam:RemoveUserFromGroup").await?;
    call.change(|| call.iam().remove_group_member(request.clone())).await?;
    Ok(Answer::empty())
}

async fn membership(call: &Call, action: &'static str) -> Result<Membership, crate::query_protocol::Fault> {
    let target = target::named(call, HolderKind::Group).await?;
    let user = call.name("UserName", 128)?;
    call.authorise(action, &target.arn)?;
    Ok(Membership { account: call.account()?, group: target.holder.name, user, mutation: call.mutation() })
}

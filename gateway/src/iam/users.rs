//! Users.

use cairn_protocol::iam::{CreateUser, DeleteEntity, HolderKind, ListEntities, UpdateEntity};

use super::documents::{date, list, path, path_prefix, user};
use super::{paging, tags, target};
use crate::query_protocol::{Answer, Answered, Call, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("CreateUser", |call| Box::pin(create(call))),
    ("GetUser", |call| Box::pin(get(call))),
    ("ListUsers", |call| Box::pin(list_users(call))),
    ("UpdateUser", |call| Box::pin(update(call))),
    ("DeleteUser", |call| Box::pin(delete(call))),
];

async fn create(call: &Call) -> Answered {
    let name = target::new_name(call, HolderKind::User, "UserName")?;
    let path = path(call, "Path")?;
    let boundary = super::boundaries::parameter(call)?;
    let tags = tags::given(call)?;
    let arn = target::arn(call, HolderKind::User, &path, &name)?;
    let mut context = call.context();
    if let Some(boundary) = &boundary {
        context.add("iam:PermissionsBoundary", boundary.as_str());
    }
    call.authorise_with("iam:CreateUser", &arn, &context)?;
    if !tags.is_empty() {
        call.authorise("iam:TagUser", &arn)?;
    }
    let (account, mutation) = (call.account()?, call.mutation());
    let request = CreateUser { account, name, path, boundary, tags, mutation };
    let made = call.change(|| call.iam().create_user(request.clone())).await?;
    Ok(Answer::with(move |xml| xml.element("User", |xml| user(xml, &made, true))))
}

async fn get(call: &Call) -> Answered {
    let Some(target) = target::user_or_sender(call).await? else {
        let account = call.account()?;
        let arn = format!("arn:aws:iam::{account}:root");
        call.authorise("iam:GetUser", &arn)?;
        let created = call.iam().get_account(cairn_protocol::iam::AccountRef { account: account.clone() });
        let created = created.await?.created_at;
        return Ok(Answer::with(move |xml| {
            xml.element("User", |xml| {
                xml.text("Path", "/");
                xml.text("UserId", &account);
                xml.text("Arn", &arn);
                date(xml, "CreateDate", created);
            });
        }));
    };
    call.authorise("iam:GetUser", &target.arn)?;
    let found = call.iam().get_user(target.entity()).await?;
    Ok(Answer::with(move |xml| xml.element("User", |xml| user(xml, &found, true))))
}

async fn list_users(call: &Call) -> Answered {
    let paging::Asked { after, max } = paging::asked(call)?;
    let path_prefix = path_prefix(call)?;
    let prefix = if path_prefix.is_empty() { "/" } else { &path_prefix };
    call.authorise("iam:ListUsers", &target::arn(call, HolderKind::User, prefix, "")?)?;
    let request = ListEntities { account: call.account()?, path_prefix, after, max };
    let page = call.iam().list_users(request).await?;
    Ok(Answer::with(move |xml| {
        list(xml, "Users", &page.entries, |xml, one| user(xml, one, false));
        paging::write(xml, page.next.as_deref());
    }))
}

async fn update(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::User).await?;
    let new_name = match call.optional("NewUserName") {
        None => None,
        Some(_) => Some(target::new_name(call, HolderKind::User, "NewUserName")?),
    };
    let new_path = match call.optional("NewPath") {
        None => None,
        Some(_) => Some(path(call, "NewPath")?),
    };
    call.authorise("iam:UpdateUser", &target.arn)?;
    // The sender must be allowed to have a user of the new name too.
    let name = new_name.as_deref().unwrap_or(&target.holder.name);
    let path = new_path.clone().unwrap_or_else(|| path_of(&target.arn));
    call.authorise("iam:UpdateUser", &target::arn(call, HolderKind::User, &path, name)?)?;
    let (account, name, mutation) = (call.account()?, target.holder.name, call.mutation());
    let request = UpdateEntity { account, name, new_name, new_path, mutation };
    call.change(|| call.iam().update_user(request.clone())).await?;
    Ok(Answer::empty())
}

/// The path in an ARN.
fn path_of(arn: &str) -> String {
    let behind = arn.find('/').map(|at| &arn[at..]).unwrap_or("/");
    behind.rfind('/').map(|at| behind[..=at].to_owned()).unwrap_or_default()
}

async fn delete(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::User).await?;
    call.authorise("iam:DeleteUser", &target.arn)?;
    let (account, name, mutation) = (call.account()?, target.holder.name, call.mutation());
    let request = DeleteEntity { account, name, mutation };
    call.change(|| call.iam().delete_user(request.clone())).await?;
    Ok(Answer::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_arn_is_between_kind_and_name() {
        assert_eq!(path_of("arn:aws:iam::1:user/alice"), "/");
        assert_eq!(path_of("arn:aws:iam::1:user/a/b/alice"), "/a/b/");
    }
}

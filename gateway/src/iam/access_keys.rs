//! Access keys.

use cairn_protocol::iam::{
    AccessKeyEntry, CreateAccessKey, DeleteAccessKey, KeyOwner, ListEntities, SetAccessKeyStatus,
};
use cairn_protocol::metadata::{AccessKeyRef, Identity};

use super::documents::{date, list};
use super::{paging, target};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation, constraint};

pub(super) const OPERATIONS: &[Operation] = &[
    ("CreateAccessKey", |call| Box::pin(create(call))),
    ("ListAccessKeys", |call| Box::pin(list_keys(call))),
    ("UpdateAccessKey", |call| Box::pin(update(call))),
    ("DeleteAccessKey", |call| Box::pin(delete(call))),
    ("GetAccessKeyLastUsed", |call| Box::pin(last_used(call))),
];

/// Whose keys a request is about, if the sender may do the action with them.
async fn owner(call: &Call, action: &'static str) -> Result<KeyOwner, Fault> {
    let account = call.account()?;
    match target::user_or_sender(call).await? {
        Some(target) => {
            call.authorise(action, &target.arn)?;
            Ok(KeyOwner { account, user: Some(target.holder.name) })
        }
        None => {
            call.authorise(action, &format!("arn:aws:iam::{account}:root"))?;
            Ok(KeyOwner { account, user: None })
        }
    }
}

/// The user that answers name: the root user has no name, and AWS shows that of the account.
fn user_name(user: Option<&String>) -> String {
    user.cloned().unwrap_or_else(|| "root".to_owned())
}

fn key_id(call: &Call) -> Result<String, Fault> {
    // AWS asks for 16 characters or more; keys that were brought from another store may be shorter here.
    call.text("AccessKeyId", (3, 128))
}

async fn create(call: &Call) -> Answered {
    let owner = owner(call, "iam:CreateAccessKey").await?;
    let request = CreateAccessKey { owner, given: None, mutation: call.mutation() };
    let made = call.change(|| call.iam().create_access_key(request.clone())).await?;
    Ok(Answer::with(move |xml| {
        xml.element("AccessKey", |xml| {
            xml.text("UserName", &user_name(made.user.as_ref()));
            xml.text("AccessKeyId", &made.access_key);
            xml.text("Status", "Active");
            xml.text("SecretAccessKey", &made.secret_key);
            date(xml, "CreateDate", made.created_at);
        });
    }))
}

async fn list_keys(call: &Call) -> Answered {
    let owner = owner(call, "iam:ListAccessKeys").await?;
    let user = user_name(owner.user.as_ref());
    let keys = call.iam().list_access_keys(owner).await?;
    let (keys, next) = paging::cut(call, keys, |key| key.access_key.clone())?;
    Ok(Answer::with(move |xml| {
        xml.text("UserName", &user);
        list(xml, "AccessKeyMetadata", &keys, |xml, key: &AccessKeyEntry| {
            xml.text("UserName", &user);
            xml.text("AccessKeyId", &key.access_key);
            xml.text("Status", if key.active { "Active" } else { "Inactive" });
            date(xml, "CreateDate", key.created_at);
        });
        paging::write(xml, next.as_deref());
    }))
}

async fn update(call: &Call) -> Answered {
    let access_key = key_id(call)?;
    let active = match call.required("Status")? {
        "Active" => true,
        "Inactive" => false,
        other => return Err(constraint("Status", other, "satisfy enum value set: [Active, Inactive]")),
    };
    let owner = owner(call, "iam:UpdateAccessKey").await?;
    let request = SetAccessKeyStatus { owner, access_key, active, mutation: call.mutation() };
    call.change(|| call.iam().set_access_key_status(request.clone())).await?;
    Ok(Answer::empty())
}

async fn delete(call: &Call) -> Answered {
    let access_key = key_id(call)?;
    let owner = owner(call, "iam:DeleteAccessKey").await?;
    let request = DeleteAccessKey { owner, access_key, mutation: call.mutation() };
    call.change(|| call.iam().delete_access_key(request.clone())).await?;
    Ok(Answer::empty())
}

/// Cairn does not record when keys are used. The answer is that of AWS for a key of which no use is known.
async fn last_used(call: &Call) -> Answered {
    let access_key = key_id(call)?;
    let user = user_of_key(call, &access_key).await?;
    let arn = match &user {
        Some(Some(user)) => target::of(call, cairn_protocol::iam::HolderKind::User, user.clone()).await?.arn,
        Some(None) => format!("arn:aws:iam::{}:root", call.account()?),
        None => format!("arn:aws:iam::{}:user/", call.account()?),
    };
    call.authorise("iam:GetAccessKeyLastUsed", &arn)?;
    let user = user.ok_or_else(|| {
        Fault::no_such_entity(format!("The Access Key with id {access_key} cannot be found."))
    })?;
    Ok(Answer::with(move |xml| {
        xml.text("UserName", &user_name(user.as_ref()));
        xml.element("AccessKeyLastUsed", |xml| {
            xml.text("ServiceName", "N/A");
            xml.text("Region", "N/A");
        });
    }))
}

/// The user of the account that a key belongs to, `Some(None)` for the root user; `None` if the account has no such key.
async fn user_of_key(call: &Call, access_key: &str) -> Result<Option<Option<String>>, Fault> {
    let account = call.account()?;
    let found = call.gateway.authority.find_access_key(AccessKeyRef::long_term(access_key)).await?;
    if let Some(found) = found.filter(|found| found.identity.account().id == account) {
        return Ok(Some(match found.identity {
            Identity::User { name, .. } => Some(name),
            Identity::Root { .. } | Identity::Role { .. } => None,
        }));
    }
    // A key that is inactive is found by its user only.
    let has_key = async |user: Option<String>| {
        let keys = call.iam().list_access_keys(KeyOwner { account: account.clone(), user }).await?;
        Ok::<_, Fault>(keys.iter().any(|key| key.access_key == access_key))
    };
    if has_key(None).await? {
        return Ok(Some(None));
    }
    let mut after = None;
    loop {
        let (account, path_prefix) = (account.clone(), String::new());
        let page = call.iam().list_users(ListEntities { account, path_prefix, after, max: 1000 }).await?;
        for user in page.entries {
            if has_key(Some(user.name.clone())).await? {
                return Ok(Some(Some(user.name)));
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(None),
        }
    }
}

//! Roles.

use cairn_policy::principal::NamedPrincipal;
use cairn_policy::statement::Principals;
use cairn_protocol::iam::{
    CreateRole, DeleteEntity, EntityRef, HolderKind, IamError, ListEntities, SESSION_S_MAX, SESSION_S_MIN,
    UpdateRole, UpdateRoleTrust,
};

use super::documents::{list, path, path_prefix, role, trust_policy, trust_policy_of};
use super::{paging, tags, target};
use crate::query_protocol::{Answer, Answered, Call, Fault, Operation};

pub(super) const OPERATIONS: &[Operation] = &[
    ("CreateRole", |call| Box::pin(create(call))),
    ("GetRole", |call| Box::pin(get(call))),
    ("ListRoles", |call| Box::pin(list_roles(call))),
    ("UpdateRole", |call| Box::pin(update(call))),
    ("UpdateRoleDescription", |call| Box::pin(update_description(call))),
    ("UpdateAssumeRolePolicy", |call| Box::pin(update_trust(call))),
    ("DeleteRole", |call| Box::pin(delete(call))),
];

/// Upper limit of a description, in characters.
const DESCRIPTION_MAX: usize = 1000;

fn description(call: &Call) -> Result<Option<String>, Fault> {
    let given = call.optional("Description").is_some();
    given.then(|| call.text("Description", (0, DESCRIPTION_MAX))).transpose()
}

fn session_s_max(call: &Call) -> Result<Option<u32>, Fault> {
    call.number("MaxSessionDuration", (SESSION_S_MIN, SESSION_S_MAX))
}

async fn create(call: &Call) -> Answered {
    let name = target::new_name(call, HolderKind::Role, "RoleName")?;
    let path = path(call, "Path")?;
    let trust = trust_policy_of(call, "AssumeRolePolicyDocument")?;
    let description = description(call)?.unwrap_or_default();
    let session_s_max = session_s_max(call)?.unwrap_or(SESSION_S_MIN);
    let boundary = super::boundaries::parameter(call)?;
    let tags = tags::given(call)?;
    let arn = target::arn(call, HolderKind::Role, &path, &name)?;
    let mut context = call.context();
    if let Some(boundary) = &boundary {
        context.add("iam:PermissionsBoundary", boundary.as_str());
    }
    call.authorise_with("iam:CreateRole", &arn, &context)?;
    if !tags.is_empty() {
        call.authorise("iam:TagRole", &arn)?;
    }
    check_principals(call, &trust).await?;
    let (account, mutation) = (call.account()?, call.mutation());
    let request =
        CreateRole { account, name, path, description, trust, session_s_max, boundary, tags, mutation };
    let made = call.change(|| call.iam().create_role(request.clone())).await?;
    Ok(Answer::with(move |xml| xml.element("Role", |xml| role(xml, &made, true))))
}

async fn get(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::Role).await?;
    call.authorise("iam:GetRole", &target.arn)?;
    let found = call.iam().get_role(target.entity()).await?;
    Ok(Answer::with(move |xml| xml.element("Role", |xml| role(xml, &found, true))))
}

async fn list_roles(call: &Call) -> Answered {
    let paging::Asked { after, max } = paging::asked(call)?;
    let path_prefix = path_prefix(call)?;
    let prefix = if path_prefix.is_empty() { "/" } else { &path_prefix };
    call.authorise("iam:ListRoles", &target::arn(call, HolderKind::Role, prefix, "")?)?;
    let request = ListEntities { account: call.account()?, path_prefix, after, max };
    let page = call.iam().list_roles(request).await?;
    Ok(Answer::with(move |xml| {
        list(xml, "Roles", &page.entries, |xml, one| role(xml, one, false));
        paging::write(xml, page.next.as_deref());
    }))
}

async fn update(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::Role).await?;
    let (description, session_s_max) = (description(call)?, session_s_max(call)?);
    call.authorise("iam:UpdateRole", &target.arn)?;
    let (account, name, mutation) = (call.account()?, target.holder.name, call.mutation());
    let request = UpdateRole { account, name, description, session_s_max, mutation };
    call.change(|| call.iam().update_role(request.clone())).await?;
    Ok(Answer::with(|_| {}))
}

async fn update_description(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::Role).await?;
    let description = Some(call.text("Description", (0, DESCRIPTION_MAX))?);
    call.authorise("iam:UpdateRoleDescription", &target.arn)?;
    let (account, name, mutation) = (call.account()?, target.holder.name, call.mutation());
    let request = UpdateRole { account, name, description, session_s_max: None, mutation };
    let changed = call.change(|| call.iam().update_role(request.clone())).await?;
    Ok(Answer::with(move |xml| xml.element("Role", |xml| role(xml, &changed, true))))
}

async fn update_trust(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::Role).await?;
    let trust = trust_policy_of(call, "PolicyDocument")?;
    call.authorise("iam:UpdateAssumeRolePolicy", &target.arn)?;
    check_principals(call, &trust).await?;
    let (account, name, mutation) = (call.account()?, target.holder.name, call.mutation());
    let request = UpdateRoleTrust { account, name, trust, mutation };
    call.change(|| call.iam().update_role_trust(request.clone())).await?;
    Ok(Answer::empty())
}

async fn delete(call: &Call) -> Answered {
    let target = target::named(call, HolderKind::Role).await?;
    call.authorise("iam:DeleteRole", &target.arn)?;
    let (account, name, mutation) = (call.account()?, target.holder.name, call.mutation());
    let request = DeleteEntity { account, name, mutation };
    call.change(|| call.iam().delete_role(request.clone())).await?;
    Ok(Answer::empty())
}

/// AWS refuses a trust policy that names a user, role or account that does not exist.
async fn check_principals(call: &Call, trust: &str) -> Result<(), Fault> {
    for statement in trust_policy(trust)?.statements {
        let (Principals::Listed(names) | Principals::AllBut(names)) = statement.principals else { continue };
        for name in names {
            if !exists(call, &name).await? {
                let shown = match name {
                    NamedPrincipal::Account(name) | NamedPrincipal::Arn(name) => name,
                    _ => String::new(),
                };
                let message = format!("Invalid principal in policy: \"AWS\":\"{shown}\"");
                return Err(Fault::malformed_policy(message));
            }
        }
    }
    Ok(())
}

async fn exists(call: &Call, name: &NamedPrincipal) -> Result<bool, Fault> {
    let iam = call.iam();
    let found = match name {
        NamedPrincipal::Account(account) => {
            let account = account.clone();
            iam.get_account(cairn_protocol::iam::AccountRef { account }).await.map(drop)
        }
        NamedPrincipal::Arn(arn) => {
            let parts: Vec<&str> = arn.splitn(6, ':').collect();
            let (&[_, _, service, _, account, resource], true) = (&parts[..], parts.len() == 6) else {
                return Ok(false);
            };
            let entity = |name: &str| EntityRef { account: account.to_owned(), name: name.to_owned() };
            match (service, resource.split_once('/')) {
                ("iam", Some(("user", name))) => {
                    let user = iam.get_user(entity(last(name))).await;
                    return same_arn(user.map(|user| user.arn), arn);
                }
                ("iam", Some(("role", name))) => {
                    let role = iam.get_role(entity(last(name))).await;
                    return same_arn(role.map(|role| role.arn), arn);
                }
                // A session need not exist when it is named. Its role must.
                ("sts", Some((_, name))) => {
                    let role = name.split('/').next().unwrap_or_default();
                    iam.get_role(entity(role)).await.map(drop)
                }
                _ => return Ok(false),
            }
        }
        NamedPrincipal::Everyone | NamedPrincipal::CanonicalUser(_) | NamedPrincipal::Other(_) => Ok(()),
    };
    match found {
        Ok(()) => Ok(true),
        Err(IamError::NoSuchEntity { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn same_arn(found: Result<String, IamError>, arn: &str) -> Result<bool, Fault> {
    match found {
        Ok(found) => Ok(found == arn),
        Err(IamError::NoSuchEntity { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The name behind the path.
fn last(path_and_name: &str) -> &str {
    path_and_name.rsplit('/').next().unwrap_or(path_and_name)
}

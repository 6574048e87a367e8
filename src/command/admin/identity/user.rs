//! `cairn admin user`.

use cairn_protocol::env::Env;
use cairn_protocol::iam::{
    CreateAccessKey, CreateUser, DeleteEntity, EntityRef, HolderKind, HolderRef, HolderTags, Iam, KeyOwner,
    ListEntities, NewAccessKey, SetUserQuota, User,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::holder::Ties;
use super::{AccountArgument, PAGE, PathArgument, all, mutation, new_key};
use crate::command::admin::Printer;
use crate::command::admin::consent::Consent;
use crate::command::admin::quota::{self, QuotaArguments};
use crate::table::Table;
use crate::units::time;

#[derive(Subcommand, Debug)]
pub(in crate::command::admin) enum UserOperation {
    /// Create a user with an access key, and show the key once
    Create(CreateArguments),
    /// List the users
    List(AccountArgument),
    /// Show a user: keys, policies, groups
    Show(UserArguments),
    /// Change the quota of a user: how much its keys may write
    Set(SetArguments),
    /// Delete a user
    Delete(DeleteArguments),
}

/// The user of a command.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct UserArguments {
    /// The user's name
    name: String,

    #[command(flatten)]
    account: AccountArgument,
}

#[derive(Args, Debug)]
pub(in crate::command::admin) struct CreateArguments {
    #[command(flatten)]
    user: UserArguments,

    #[command(flatten)]
    path: PathArgument,

    /// Create no access key
    #[arg(long)]
    no_key: bool,
}

#[derive(Args, Debug)]
pub(in crate::command::admin) struct SetArguments {
    #[command(flatten)]
    user: UserArguments,

    #[command(flatten)]
    quota: QuotaArguments,
}

#[derive(Args, Debug)]
pub(in crate::command::admin) struct DeleteArguments {
    #[command(flatten)]
    user: UserArguments,

    /// First delete its keys and inline policies, detach its policies, and take it out of its groups
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    consent: Consent,
}

/// A user that was created.
#[derive(Serialize)]
struct Created {
    user: User,
    key: Option<NewAccessKey>,
}

/// A user and what it has.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    user: User,
    #[serde(flatten)]
    ties: Ties,
}

pub(in crate::command::admin) async fn run(
    operation: UserOperation,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        UserOperation::Create(arguments) => create(arguments, iam, env, printer).await,
        UserOperation::List(AccountArgument { account }) => {
            let users = all(async |after| {
                let (account, path_prefix) = (account.clone(), String::new());
                iam.list_users(ListEntities { account, path_prefix, after, max: PAGE }).await
            });
            printer.show(&users.await?, |users| {
                let mut table = Table::new(["USER", "PATH", "ID", "CREATED", "OBJECTS", "BYTES"]);
                for user in users {
                    let created = time(user.created_at);
                    let (objects, bytes) =
                        (quota::objects_used(user.usage, user.quota), quota::bytes(user.usage, user.quota));
                    table.row([
                        user.name.clone(),
                        user.path.clone(),
                        user.id.clone(),
                        created,
                        objects,
                        bytes,
                    ]);
                }
                table.to_string()
            })
        }
        UserOperation::Show(UserArguments { name, account: AccountArgument { account } }) => {
            let user = iam.get_user(EntityRef { account: account.clone(), name: name.clone() }).await?;
            let ties = Ties::ask(iam, &HolderRef { account, kind: HolderKind::User, name }).await?;
            printer.show(&Shown { user, ties }, |shown| facts(&shown.user, &shown.ties))
        }
        UserOperation::Set(arguments) => set(arguments, iam, env, printer).await,
        UserOperation::Delete(arguments) => delete(arguments, iam, env, printer).await,
    }
}

async fn create(
    arguments: CreateArguments,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    let CreateArguments { user: UserArguments { name, account }, path, no_key } = arguments;
    let account = account.account;
    let request = CreateUser {
        account: account.clone(),
        name: name.clone(),
        path: path.path,
        boundary: None,
        tags: HolderTags::new(),
        mutation: mutation(env),
    };
    let user = iam.create_user(request).await?;
    let key = if no_key {
        None
    } else {
        let owner = KeyOwner { account, user: Some(name) };
        Some(iam.create_access_key(CreateAccessKey { owner, given: None, mutation: mutation(env) }).await?)
    };
    printer.show(&Created { user, key }, |created| match &created.key {
        Some(key) => new_key::lines(key),
        None => format!("Made user {}.", created.user.name),
    })
}

async fn set(arguments: SetArguments, iam: &dyn Iam, env: &Env, printer: Printer) -> anyhow::Result<()> {
    let SetArguments { user: UserArguments { name, account }, quota } = arguments;
    let account = account.account;
    let before = iam.get_user(EntityRef { account: account.clone(), name: name.clone() }).await?;
    let Some(quota) = quota.changed(before.quota) else {
        anyhow::bail!("say what to change: --quota or --quota-objects");
    };
    let request = SetUserQuota { account, name, quota, mutation: mutation(env) };
    let user = iam.set_user_quota(request).await?;
    printer.show(&user, |user| usage_facts(user, Table::of_facts()).to_string())
}

async fn delete(
    arguments: DeleteArguments,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    let DeleteArguments { user: UserArguments { name, account }, force, consent } = arguments;
    let account = account.account;
    let user = iam.get_user(EntityRef { account: account.clone(), name: name.clone() }).await?;
    let holder = HolderRef { account: account.clone(), kind: HolderKind::User, name: name.clone() };
    let ties = Ties::ask(iam, &holder).await?;
    printer.note(facts(&user, &ties));
    if !consent.given()? {
        return Ok(());
    }
    if force {
        ties.remove(iam, &holder, env).await?;
    }
    iam.delete_user(DeleteEntity { account, name, mutation: mutation(env) }).await?;
    printer.note(format_args!("User {} is deleted.", user.name));
    Ok(())
}

/// Adds what a user uses and may use.
fn usage_facts(user: &User, mut table: Table) -> Table {
    table.row(["objects".to_owned(), quota::objects_used(user.usage, user.quota)]);
    table.row(["bytes".to_owned(), quota::bytes(user.usage, user.quota)]);
    table
}

/// A user and what it has, as a table.
fn facts(user: &User, ties: &Ties) -> String {
    let mut table = Table::of_facts();
    table.row(["user".to_owned(), user.arn.clone()]);
    table.row(["id".to_owned(), user.id.clone()]);
    table.row(["created".to_owned(), time(user.created_at)]);
    if let Some(boundary) = &user.boundary {
        table.row(["permissions boundary".to_owned(), boundary.clone()]);
    }
    let mut table = usage_facts(user, table);
    for (what, names) in ties.lines() {
        table.row([what.to_owned(), names]);
    }
    table.to_string()
}

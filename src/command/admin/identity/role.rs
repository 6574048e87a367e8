//! `cairn admin role`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use cairn_policy::{Kind, Policy};
use cairn_protocol::env::Env;
use cairn_protocol::iam::{
    CreateRole, DeleteEntity, EntityRef, HolderKind, HolderRef, HolderTags, Iam, ListEntities, Role,
    SESSION_S_MIN, UpdateRole, UpdateRoleTrust,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::file::read;
use super::holder::Ties;
use super::{AccountArgument, PAGE, PathArgument, all, mutation};
use crate::command::admin::Printer;
use crate::command::admin::consent::Consent;
use crate::table::Table;
use crate::units::{span, time};

const CREATE_HELP: &str = "\
The file says who may assume the role, in AWS's policy language. For the user alice of the first account:
  {\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"sts:AssumeRole\",
    \"Principal\": {\"AWS\": \"arn:aws:iam::000000000000:user/alice\"}}]}
What the role may do comes from its policies:
  cairn admin policy attach readwrite --role NAME --bucket photos";

#[derive(Subcommand, Debug)]
pub(in crate::command::admin) enum RoleOperation {
    /// Create a role, which users and web identities take on for a time
    #[command(after_help = CREATE_HELP)]
    Create(CreateArguments),
    /// List the roles
    List(AccountArgument),
    /// Show a role: who may assume it, and its policies
    Show(RoleArguments),
    /// Change the description or the longest session of a role
    Update {
        #[command(flatten)]
        role: RoleArguments,

        /// The new description
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,

        /// The new longest session: 1h to 12h
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        max_session: Option<Duration>,
    },
    /// Replace the document that says who may assume a role
    Trust {
        #[command(flatten)]
        role: RoleArguments,

        /// A file with the document, in AWS's policy language; `-` reads standard input
        file: PathBuf,
    },
    /// Delete a role; its sessions end
    Delete {
        #[command(flatten)]
        role: RoleArguments,

        /// First delete its inline policies, and detach its policies
        #[arg(long)]
        force: bool,

        #[command(flatten)]
        consent: Consent,
    },
}

/// The role of a command.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct RoleArguments {
    /// The role's name
    name: String,

    #[command(flatten)]
    account: AccountArgument,
}

#[derive(Args, Debug)]
pub(in crate::command::admin) struct CreateArguments {
    #[command(flatten)]
    role: RoleArguments,

    /// A file that says who may assume the role, in AWS's policy language; `-` reads standard input
    file: PathBuf,

    /// A description
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,

    /// The longest session: 1h to 12h
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_session: Option<Duration>,

    #[command(flatten)]
    path: PathArgument,
}

/// A role and what it has.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    role: Role,
    #[serde(flatten)]
    ties: Ties,
}

pub(in crate::command::admin) async fn run(
    operation: RoleOperation,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        RoleOperation::Create(arguments) => create(arguments, iam, env, printer).await,
        RoleOperation::List(AccountArgument { account }) => {
            let roles = all(async |after| {
                let (account, path_prefix) = (account.clone(), String::new());
                iam.list_roles(ListEntities { account, path_prefix, after, max: PAGE }).await
            });
            printer.show(&roles.await?, |roles| {
                let mut table = Table::new(["ROLE", "PATH", "LONGEST SESSION", "ID", "CREATED"]);
                for role in roles {
                    let longest = span(u64::from(role.session_s_max) * 1000);
                    let created = time(role.created_at);
                    table.row([role.name.clone(), role.path.clone(), longest, role.id.clone(), created]);
                }
                table.to_string()
            })
        }
        RoleOperation::Show(role) => {
            let (_, shown) = ask(role, iam).await?;
            printer.show(&shown, |shown| format!("{}\n\n{}", facts(shown), shown.role.trust.trim_end()))
        }
        RoleOperation::Update { role, description, max_session } => {
            let RoleArguments { name, account: AccountArgument { account } } = role;
            let session_s_max = max_session.map(seconds).transpose()?;
            let mutation = mutation(env);
            let request = UpdateRole { account, name, description, session_s_max, mutation };
            let changed = iam.update_role(request).await?;
            printer.show(&changed, |role| format!("Changed role {}.", role.name))
        }
        RoleOperation::Trust { role, file } => {
            let RoleArguments { name, account: AccountArgument { account } } = role;
            let trust = checked(&file)?;
            iam.update_role_trust(UpdateRoleTrust { account, name, trust, mutation: mutation(env) }).await?;
            printer.note("Done.");
            Ok(())
        }
        RoleOperation::Delete { role, force, consent } => {
            let (holder, shown) = ask(role, iam).await?;
            printer.note(facts(&shown));
            if !consent.given()? {
                return Ok(());
            }
            if force {
                shown.ties.remove(iam, &holder, env).await?;
            }
            let HolderRef { account, name, .. } = holder;
            iam.delete_role(DeleteEntity { account, name, mutation: mutation(env) }).await?;
            printer.note(format_args!("Role {} is deleted.", shown.role.name));
            Ok(())
        }
    }
}

async fn create(
    arguments: CreateArguments,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    let CreateArguments { role, file, description, max_session, path } = arguments;
    let RoleArguments { name, account: AccountArgument { account } } = role;
    let session_s_max = max_session.map(seconds).transpose()?.unwrap_or(SESSION_S_MIN);
    let request = CreateRole {
        account,
        name,
        path: path.path,
        description,
        trust: checked(&file)?,
        session_s_max,
        boundary: None,
        tags: HolderTags::new(),
        mutation: mutation(env),
    };
    let made = iam.create_role(request).await?;
    printer.show(&made, |role| format!("Made role {}.", role.arn))
}

/// The document of a file, checked: the metanode does not know the policy language.
fn checked(file: &std::path::Path) -> anyhow::Result<String> {
    let document = read(file)?;
    Policy::parse(&document, Kind::Trust).with_context(|| file.display().to_string())?;
    Ok(document)
}

/// A length in whole seconds.
fn seconds(length: Duration) -> anyhow::Result<u32> {
    u32::try_from(length.as_secs()).context("the longest session is 12h")
}

async fn ask(role: RoleArguments, iam: &dyn Iam) -> anyhow::Result<(HolderRef, Shown)> {
    let RoleArguments { name, account: AccountArgument { account } } = role;
    let role = iam.get_role(EntityRef { account: account.clone(), name: name.clone() }).await?;
    let holder = HolderRef { account, kind: HolderKind::Role, name };
    let ties = Ties::ask(iam, &holder).await?;
    Ok((holder, Shown { role, ties }))
}

fn facts(shown: &Shown) -> String {
    let Shown { role, ties } = shown;
    let mut table = Table::of_facts();
    table.row(["role".to_owned(), role.arn.clone()]);
    table.row(["id".to_owned(), role.id.clone()]);
    table.row(["created".to_owned(), time(role.created_at)]);
    table.row(["longest session".to_owned(), span(u64::from(role.session_s_max) * 1000)]);
    if !role.description.is_empty() {
        table.row(["description".to_owned(), role.description.clone()]);
    }
    if let Some(boundary) = &role.boundary {
        table.row(["permissions boundary".to_owned(), boundary.clone()]);
    }
    for (what, names) in ties.lines() {
        table.row([what.to_owned(), names]);
    }
    table.to_string()
}

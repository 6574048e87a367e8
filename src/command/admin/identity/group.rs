//! `cairn admin group`.

use cairn_protocol::env::Env;
use cairn_protocol::iam::{
    CreateGroup, DeleteEntity, GetGroup, Group, HolderKind, HolderRef, Iam, ListEntities, Membership,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::holder::Ties;
use super::{AccountArgument, PAGE, PathArgument, all, mutation};
use crate::command::admin::Printer;
use crate::command::admin::consent::Consent;
use crate::table::Table;
use crate::units::time;

#[derive(Subcommand, Debug)]
pub(in crate::command::admin) enum GroupOperation {
    /// Create a group
    Create {
        #[command(flatten)]
        group: GroupArguments,

        #[command(flatten)]
        path: PathOption,
    },
    /// List the groups
    List(AccountArgument),
    /// Show a group: members and policies
    Show(GroupArguments),
    /// Add a user to a group
    Add(MemberArguments),
    /// Remove a user from a group
    Remove(MemberArguments),
    /// Delete a group
    Delete {
        #[command(flatten)]
        group: GroupArguments,

        /// First remove its members and delete its inline policies, and detach its policies
        #[arg(long)]
        force: bool,

        #[command(flatten)]
        consent: Consent,
    },
}

/// The path of a new group.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct PathOption {
    #[command(flatten)]
    path: PathArgument,
}

/// The group of a command.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct GroupArguments {
    /// The group's name
    name: String,

    #[command(flatten)]
    account: AccountArgument,
}

/// A group and a user.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct MemberArguments {
    /// The group's name
    group: String,

    /// The user's name
    user: String,

    #[command(flatten)]
    account: AccountArgument,
}

impl MemberArguments {
    fn membership(self, env: &Env) -> Membership {
        let Self { group, user, account } = self;
        Membership { account: account.account, group, user, mutation: mutation(env) }
    }
}

/// A group and what it has.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    group: Group,
    #[serde(flatten)]
    ties: Ties,
}

pub(in crate::command::admin) async fn run(
    operation: GroupOperation,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        GroupOperation::Create { group, path } => {
            let GroupArguments { name, account: AccountArgument { account } } = group;
            let path = path.path.path;
            let made = iam.create_group(CreateGroup { account, name, path, mutation: mutation(env) }).await?;
            printer.show(&made, |group| format!("Made group {}.", group.name))
        }
        GroupOperation::List(AccountArgument { account }) => {
            let groups = all(async |after| {
                let (account, path_prefix) = (account.clone(), String::new());
                iam.list_groups(ListEntities { account, path_prefix, after, max: PAGE }).await
            });
            printer.show(&groups.await?, |groups| {
                let mut table = Table::new(["GROUP", "PATH", "ID", "CREATED"]);
                for group in groups {
                    let created = time(group.created_at);
                    table.row([group.name.clone(), group.path.clone(), group.id.clone(), created]);
                }
                table.to_string()
            })
        }
        GroupOperation::Show(group) => {
            let (_, shown) = ask(group, iam).await?;
            printer.show(&shown, facts)
        }
        GroupOperation::Add(arguments) => {
            iam.add_group_member(arguments.membership(env)).await?;
            printer.note("Done.");
            Ok(())
        }
        GroupOperation::Remove(arguments) => {
            iam.remove_group_member(arguments.membership(env)).await?;
            printer.note("Done.");
            Ok(())
        }
        GroupOperation::Delete { group, force, consent } => {
            let (holder, shown) = ask(group, iam).await?;
            printer.note(facts(&shown));
            if !consent.given()? {
                return Ok(());
            }
            if force {
                shown.ties.remove(iam, &holder, env).await?;
            }
            let HolderRef { account, name, .. } = holder;
            iam.delete_group(DeleteEntity { account, name, mutation: mutation(env) }).await?;
            printer.note(format_args!("Group {} is deleted.", shown.group.name));
            Ok(())
        }
    }
}

async fn ask(group: GroupArguments, iam: &dyn Iam) -> anyhow::Result<(HolderRef, Shown)> {
    let GroupArguments { name, account: AccountArgument { account } } = group;
    let request = GetGroup { account: account.clone(), name: name.clone(), after: None, max: 1 };
    let group = iam.get_group(request).await?.group;
    let holder = HolderRef { account, kind: HolderKind::Group, name };
    let ties = Ties::ask(iam, &holder).await?;
    Ok((holder, Shown { group, ties }))
}

fn facts(shown: &Shown) -> String {
    let mut table = Table::of_facts();
    table.row(["group".to_owned(), shown.group.arn.clone()]);
    table.row(["id".to_owned(), shown.group.id.clone()]);
    table.row(["created".to_owned(), time(shown.group.created_at)]);
    for (what, names) in shown.ties.lines() {
        table.row([what.to_owned(), names]);
    }
    table.to_string()
}

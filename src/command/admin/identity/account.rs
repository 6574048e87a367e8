//! `cairn admin account`.

use cairn_protocol::env::Env;
use cairn_protocol::iam::{CreateAccount, DeleteAccount, Iam, ListAccounts};
use clap::Subcommand;

use super::{PAGE, all, mutation, new_key};
use crate::command::admin::Printer;
use crate::command::admin::consent::Consent;
use crate::table::Table;
use crate::units::time;

#[derive(Subcommand, Debug)]
pub(in crate::command::admin) enum AccountOperation {
    /// Create an account, and show the key of its root user once
    Create {
        /// Its name for people
        name: String,
    },
    /// List the accounts
    List,
    /// Delete an account that has no users, groups, roles and policies, with the keys of its root user
    Delete {
        /// Its id
        #[arg(value_name = "ID")]
        account: String,

        #[command(flatten)]
        consent: Consent,
    },
}

pub(in crate::command::admin) async fn run(
    operation: AccountOperation,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        AccountOperation::Create { name } => {
            let made = iam.create_account(CreateAccount { name, mutation: mutation(env) }).await?;
            printer.show(&made, |made| {
                format!("Made account {}.\n{}", made.account.account.id, new_key::lines(&made.key))
            })
        }
        AccountOperation::List => {
            let pages = all(async |after| iam.list_accounts(ListAccounts { after, max: PAGE }).await).await?;
            printer.show(&pages, |accounts| {
                let mut table = Table::new(["ACCOUNT", "NAME", "CREATED", "CANONICAL ID"]);
                for entry in accounts {
                    let account = &entry.account;
                    let created = if entry.created_at.0 == 0 { "-".into() } else { time(entry.created_at) };
                    table.row([
                        account.id.clone(),
                        account.display_name.clone(),
                        created,
                        account.canonical_id.clone(),
                    ]);
                }
                table.to_string()
            })
        }
        AccountOperation::Delete { account, consent } => {
            printer.note(format_args!("This deletes account {account} and the keys of its root user."));
            if consent.given()? {
                iam.delete_account(DeleteAccount { account, mutation: mutation(env) }).await?;
                printer.note("It is deleted.");
            }
            Ok(())
        }
    }
}

//! `cairn admin key`.

use std::path::PathBuf;

use anyhow::Context;
use cairn_protocol::env::Env;
use cairn_protocol::iam::{
    CreateAccessKey, DeleteAccessKey, GivenKey, Iam, KeyOwner, RotateAccessKey, SetAccessKeyStatus,
};
use clap::{Args, Subcommand};

use super::{AccountArgument, mutation, new_key};
use crate::arguments::values::access_key;
use crate::command::admin::Printer;
use crate::command::admin::consent::Consent;
use crate::table::Table;
use crate::units::time;

#[derive(Subcommand, Debug)]
pub(in crate::command::admin) enum KeyOperation {
    /// Create an access key, and show it once; a user has up to two
    Create(CreateArguments),
    /// List access keys, without their secrets
    List(OwnerArguments),
    /// Let no request be signed with a key, until it is enabled
    Disable(KeyArguments),
    /// Let requests be signed with a key again
    Enable(KeyArguments),
    /// Create a key in place of another one, and show it once; the other one stays enabled until you disable it
    Rotate {
        #[command(flatten)]
        owner: OwnerArguments,

        /// Disable this key in the same step
        #[arg(long, value_name = "KEY")]
        disable: Option<String>,
    },
    /// Delete an access key
    Delete {
        #[command(flatten)]
        key: KeyArguments,

        #[command(flatten)]
        consent: Consent,
    },
}

/// Whose keys are meant.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct OwnerArguments {
    /// The user
    #[arg(long, value_name = "NAME", required_unless_present = "root")]
    user: Option<String>,

    /// The root user of the account, who may do everything in it
    #[arg(long, conflicts_with = "user")]
    root: bool,

    #[command(flatten)]
    account: AccountArgument,
}

impl OwnerArguments {
    fn owner(self) -> KeyOwner {
        KeyOwner { account: self.account.account, user: self.user }
    }
}

/// The key of a command.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct KeyArguments {
    /// Access key id
    #[arg(value_name = "KEY")]
    access_key: String,

    #[command(flatten)]
    owner: OwnerArguments,
}

#[derive(Args, Debug)]
pub(in crate::command::admin) struct CreateArguments {
    #[command(flatten)]
    owner: OwnerArguments,

    /// Id of a key that another store made, so that its clients go on with it
    #[arg(long, value_name = "KEY", requires = "secret_key_file", value_parser = access_key)]
    access_key: Option<String>,

    /// A file that holds the secret of that key and nothing else
    #[arg(long, value_name = "FILE", requires = "access_key")]
    secret_key_file: Option<PathBuf>,
}

impl CreateArguments {
    fn given(&self) -> anyhow::Result<Option<GivenKey>> {
        let (Some(access_key), Some(file)) = (&self.access_key, &self.secret_key_file) else {
            return Ok(None);
        };
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let secret_key = text.trim_end_matches(['\n', '\r']).to_owned();
        Ok(Some(GivenKey { access_key: access_key.clone(), secret_key }))
    }
}

pub(in crate::command::admin) async fn run(
    operation: KeyOperation,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        KeyOperation::Create(arguments) => {
            let given = arguments.given()?;
            let request = CreateAccessKey { owner: arguments.owner.owner(), given, mutation: mutation(env) };
            new_key::show(&iam.create_access_key(request).await?, printer)
        }
        KeyOperation::Rotate { owner, disable } => {
            let request =
                RotateAccessKey { owner: owner.owner(), deactivate: disable, mutation: mutation(env) };
            new_key::show(&iam.rotate_access_key(request).await?, printer)
        }
        KeyOperation::List(owner) => printer.show(&iam.list_access_keys(owner.owner()).await?, |keys| {
            let mut table = Table::new(["KEY", "STATUS", "CREATED"]);
            for key in keys {
                let status = if key.active { "enabled" } else { "disabled" };
                table.row([key.access_key.clone(), status.to_owned(), time(key.created_at)]);
            }
            table.to_string()
        }),
        KeyOperation::Disable(key) => set_active(key, false, iam, env, printer).await,
        KeyOperation::Enable(key) => set_active(key, true, iam, env, printer).await,
        KeyOperation::Delete { key: KeyArguments { access_key, owner }, consent } => {
            printer.note(format_args!("This deletes access key {access_key}; nothing brings it back."));
            if consent.given()? {
                let owner = owner.owner();
                iam.delete_access_key(DeleteAccessKey { owner, access_key, mutation: mutation(env) }).await?;
                printer.note("It is deleted.");
            }
            Ok(())
        }
    }
}

async fn set_active(
    key: KeyArguments,
    active: bool,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    let KeyArguments { access_key, owner } = key;
    let request = SetAccessKeyStatus { owner: owner.owner(), access_key, active, mutation: mutation(env) };
    let key = iam.set_access_key_status(request).await?;
    printer.show(&key, |key| {
        format!("Key {} is {}.", key.access_key, if key.active { "enabled" } else { "disabled" })
    })
}

//! `cairn admin policy version`: the versions of a policy.

use std::path::PathBuf;

use anyhow::Context;
use cairn_policy::{Kind, Policy};
use cairn_protocol::env::Env;
use cairn_protocol::iam::{
    ChangePolicyVersion, CreatePolicyVersion, Iam, PolicyRef, PolicyVersion, PolicyVersionRef,
};
use clap::{Args, Subcommand};

use super::file::read;
use super::{AccountArgument, mutation};
use crate::command::admin::Printer;
use crate::command::admin::consent::Consent;
use crate::table::Table;
use crate::units::time;

#[derive(Subcommand, Debug)]
pub(in crate::command::admin) enum VersionOperation {
    /// Add a version to a policy, which applies from now on
    Create {
        #[command(flatten)]
        policy: OfPolicy,

        /// A file with the document, in AWS's policy language; `-` reads standard input
        file: PathBuf,

        /// Leave the version that applies as it is
        #[arg(long)]
        no_default: bool,
    },
    /// List the versions of a policy, the latest first
    List(OfPolicy),
    /// Show the document of a version
    Show(OneVersion),
    /// Make a version the one that applies
    Apply(OneVersion),
    /// Delete a version that does not apply
    Delete {
        #[command(flatten)]
        version: OneVersion,

        #[command(flatten)]
        consent: Consent,
    },
}

/// The policy of a command.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct OfPolicy {
    /// The policy's name or ARN
    name: String,

    #[command(flatten)]
    account: AccountArgument,
}

impl OfPolicy {
    fn policy(self) -> PolicyRef {
        PolicyRef { account: self.account.account, policy: self.name }
    }
}

/// The version of a command.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct OneVersion {
    #[command(flatten)]
    policy: OfPolicy,

    /// The version: v1
    #[arg(value_parser = number)]
    version: u32,
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix('v').unwrap_or(text);
    digits.parse().map_err(|_| "a version is v1, v2 and so on".to_owned())
}

pub(super) async fn run(
    operation: VersionOperation,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    let change = |OneVersion { policy, version }| ChangePolicyVersion {
        policy: policy.policy(),
        version,
        mutation: mutation(env),
    };
    match operation {
        VersionOperation::Create { policy, file, no_default } => {
            let document = read(&file)?;
            Policy::parse(&document, Kind::Identity).with_context(|| file.display().to_string())?;
            let (policy, set_default) = (policy.policy(), !no_default);
            let request = CreatePolicyVersion { policy, document, set_default, mutation: mutation(env) };
            let made = iam.create_policy_version(request).await?;
            printer.show(&made, |version| format!("Made version v{}.", version.version))
        }
        VersionOperation::List(policy) => {
            printer.show(&iam.list_policy_versions(policy.policy()).await?, |versions| table(versions))
        }
        VersionOperation::Show(OneVersion { policy, version }) => {
            let request = PolicyVersionRef { policy: policy.policy(), version: Some(version) };
            let found = iam.get_policy_version(request).await?;
            printer.show(&found, |found| found.document.as_deref().unwrap_or_default().trim_end().to_owned())
        }
        VersionOperation::Apply(version) => {
            iam.set_default_policy_version(change(version)).await?;
            printer.note("Done.");
            Ok(())
        }
        VersionOperation::Delete { version, consent } => {
            printer.note(format_args!("This deletes version v{} and its document.", version.version));
            if consent.given()? {
                iam.delete_policy_version(change(version)).await?;
                printer.note("It is deleted.");
            }
            Ok(())
        }
    }
}

fn table(versions: &[PolicyVersion]) -> String {
    let mut table = Table::new(["VERSION", "APPLIES", "CREATED"]);
    for version in versions {
        let applies = if version.is_default { "yes" } else { "" };
        table.row([format!("v{}", version.version), applies.to_owned(), time(version.created_at)]);
    }
    table.to_string()
}

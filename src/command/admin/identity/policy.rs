//! `cairn admin policy`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use cairn_policy::{Kind, Policy};
use cairn_protocol::env::Env;
use cairn_protocol::iam::{
    CreatePolicy, DeleteBoundary, DeleteInlinePolicy, DeletePolicy, Iam, ListPolicies, ManagedPolicy,
    PolicyAttachment, PolicyRef, PolicyScope, PolicyVersionRef, PutBoundary, PutInlinePolicy,
};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::file::read;
use super::holder::HolderArguments;
use super::template::Template;
use super::version::{self, VersionOperation};
use super::{AccountArgument, PAGE, PathArgument, all, mutation};
use crate::command::admin::Printer;
use crate::command::admin::bucket::bucket_name;
use crate::command::admin::consent::Consent;
use crate::table::Table;

const ATTACH_HELP: &str = "\
With --bucket, NAME is readonly, readwrite or writeonly, and the user, group or role gets an inline policy for that bucket:
  cairn admin policy attach readonly --user alice --bucket photos
Without it, NAME is a policy of the account, or one of those that are built in:
  cairn admin policy attach AmazonS3FullAccess --group engineers";

#[derive(Subcommand, Debug)]
pub(in crate::command::admin) enum PolicyOperation {
    /// Create a policy
    Create(CreateArguments),
    /// List the policies, first those that are built in
    List(AccountArgument),
    /// Show a policy and its document
    Show(PolicyArguments),
    /// Attach a policy to a user, group or role
    #[command(after_help = ATTACH_HELP)]
    Attach(AttachArguments),
    /// Detach a policy from a user, group or role
    Detach(AttachArguments),
    /// Limit what the other policies of a user or role allow: set its permissions boundary
    SetBoundary(BoundaryArguments),
    /// Remove the permissions boundary of a user or role
    RemoveBoundary(OfHolder),
    /// Create, list, apply or delete versions of a policy
    #[command(subcommand)]
    Version(VersionOperation),
    /// Delete a policy that is attached to nothing
    Delete {
        #[command(flatten)]
        policy: PolicyArguments,

        #[command(flatten)]
        consent: Consent,
    },
}

/// The policy of a command.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct PolicyArguments {
    /// The policy's name or ARN
    name: String,

    #[command(flatten)]
    account: AccountArgument,
}

#[derive(Args, Debug)]
pub(in crate::command::admin) struct CreateArguments {
    /// The policy's name
    name: String,

    /// A file with the document, in AWS's policy language; `-` reads standard input
    file: PathBuf,

    /// A description
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,

    #[command(flatten)]
    path: PathArgument,

    #[command(flatten)]
    account: AccountArgument,
}

#[derive(Args, Debug)]
pub(in crate::command::admin) struct AttachArguments {
    /// The policy's name or ARN; with --bucket: readonly, readwrite or writeonly
    name: String,

    #[command(flatten)]
    holder: HolderArguments,

    /// The bucket of a policy for one bucket
    #[arg(long, value_name = "BUCKET", value_parser = bucket_name)]
    bucket: Option<String>,

    #[command(flatten)]
    account: AccountArgument,
}

#[derive(Args, Debug)]
pub(in crate::command::admin) struct BoundaryArguments {
    /// The policy's name or ARN
    name: String,

    #[command(flatten)]
    holder: HolderArguments,

    #[command(flatten)]
    account: AccountArgument,
}

/// The user, group or role of a command.
#[derive(Args, Debug)]
pub(in crate::command::admin) struct OfHolder {
    #[command(flatten)]
    holder: HolderArguments,

    #[command(flatten)]
    account: AccountArgument,
}

impl AttachArguments {
    /// The policy for one bucket, if `--bucket` asks for one.
    fn template(&self) -> anyhow::Result<Option<(Template, String)>> {
        let Some(bucket) = &self.bucket else { return Ok(None) };
        match Template::from_str(&self.name, false) {
            Ok(template) => Ok(Some((template, bucket.clone()))),
            Err(_) => {
                bail!("with --bucket, a policy is readonly, readwrite or writeonly, and not {}", self.name)
            }
        }
    }
}

/// A policy and its document.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    policy: ManagedPolicy,
    document: String,
}

pub(in crate::command::admin) async fn run(
    operation: PolicyOperation,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        PolicyOperation::Create(arguments) => create(arguments, iam, env, printer).await,
        PolicyOperation::List(AccountArgument { account }) => {
            let policies = all(async |after| {
                let (account, path_prefix) = (account.clone(), String::new());
                let (scope, only_attached) = (PolicyScope::All, false);
                let request = ListPolicies { account, scope, only_attached, path_prefix, after, max: PAGE };
                iam.list_policies(request).await
            });
            printer.show(&policies.await?, |policies| table(policies))
        }
        PolicyOperation::Show(PolicyArguments { name, account }) => {
            let policy = PolicyRef { account: account.account, policy: name };
            let entry = iam.get_policy(policy.clone()).await?;
            let version = iam.get_policy_version(PolicyVersionRef { policy, version: None }).await?;
            let shown = Shown { policy: entry, document: version.document.unwrap_or_default() };
            printer.show(&shown, |shown| {
                format!("{}\n\n{}", table(std::slice::from_ref(&shown.policy)), shown.document.trim_end())
            })
        }
        PolicyOperation::Attach(arguments) => attach(arguments, iam, env, printer).await,
        PolicyOperation::Detach(arguments) => detach(arguments, iam, env, printer).await,
        PolicyOperation::SetBoundary(BoundaryArguments { name: policy, holder, account }) => {
            let holder = holder.of(&account);
            iam.put_boundary(PutBoundary { holder, policy, mutation: mutation(env) }).await?;
            printer.note("Done.");
            Ok(())
        }
        PolicyOperation::RemoveBoundary(OfHolder { holder, account }) => {
            let holder = holder.of(&account);
            iam.delete_boundary(DeleteBoundary { holder, mutation: mutation(env) }).await?;
            printer.note("Done.");
            Ok(())
        }
        PolicyOperation::Version(operation) => version::run(operation, iam, env, printer).await,
        PolicyOperation::Delete { policy: PolicyArguments { name, account }, consent } => {
            printer.note(format_args!("This deletes policy {name} and its document."));
            if consent.given()? {
                let policy = PolicyRef { account: account.account, policy: name };
                iam.delete_policy(DeletePolicy { policy, mutation: mutation(env) }).await?;
                printer.note("It is deleted.");
            }
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
    let CreateArguments { name, file, description, path, account } = arguments;
    let document = read(&file)?;
    check(&document).with_context(|| file.display().to_string())?;
    let (account, path) = (account.account, path.path);
    let request = CreatePolicy { account, name, path, description, document, mutation: mutation(env) };
    let made = iam.create_policy(request).await?;
    printer.show(&made, |policy| format!("Made policy {}.", policy.arn))
}

async fn attach(
    arguments: AttachArguments,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    let template = arguments.template()?;
    let AttachArguments { name: policy, holder, account, .. } = arguments;
    let holder = holder.of(&account);
    match template {
        Some((template, bucket)) => {
            let (name, document) = (template.policy_name(&bucket), template.document(&bucket));
            check(&document)?;
            let request = PutInlinePolicy { holder, name, document, mutation: mutation(env) };
            iam.put_inline_policy(request).await?;
        }
        None => iam.attach_policy(PolicyAttachment { holder, policy, mutation: mutation(env) }).await?,
    }
    printer.note("Done.");
    Ok(())
}

async fn detach(
    arguments: AttachArguments,
    iam: &dyn Iam,
    env: &Env,
    printer: Printer,
) -> anyhow::Result<()> {
    let template = arguments.template()?;
    let AttachArguments { name: policy, holder, account, .. } = arguments;
    let holder = holder.of(&account);
    match template {
        Some((template, bucket)) => {
            let name = template.policy_name(&bucket);
            iam.delete_inline_policy(DeleteInlinePolicy { holder, name, mutation: mutation(env) }).await?;
        }
        None => iam.detach_policy(PolicyAttachment { holder, policy, mutation: mutation(env) }).await?,
    }
    printer.note("Done.");
    Ok(())
}

/// Checks a document before it is sent: the metanode does not know the policy language.
fn check(document: &str) -> anyhow::Result<()> {
    Policy::parse(document, Kind::Identity)?;
    Ok(())
}

fn table(policies: &[ManagedPolicy]) -> String {
    let mut table = Table::new(["POLICY", "ATTACHED", "BOUNDARY OF", "VERSION", "ARN"]).right(&[1, 2]);
    for policy in policies {
        table.row([
            policy.name.clone(),
            policy.attachments.to_string(),
            policy.boundaries.to_string(),
            format!("v{}", policy.default_version),
            policy.arn.clone(),
        ]);
    }
    table.to_string()
}

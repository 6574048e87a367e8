//! `cairn admin`: one file per operation.
//!
//! | module | what is there |
//! |---|---|
//! | `identity` | accounts, users, groups, roles, keys, policies and OpenID Connect providers |
//! | `metanode_client` | the connection to the metanode, and its errors |
//! | `consent` | dry runs, and consent to destructive commands |
//! | `node_name` | names of nodes in arguments and output |
//! | `progress` | progress bars |
//! | `quota` | options and texts of quotas |

mod balance;
mod bucket;
mod consent;
mod credentials;
mod events;
#[cfg(test)]
mod fake;
mod fsck;
mod health;
mod hold;
mod identity;
mod lifecycle;
mod location;
mod lock_clock;
mod metanode_client;
mod node;
mod node_name;
mod pack;
mod progress;
mod quota;
mod scrub;
mod secret;
mod status;
mod verify;
mod worker;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::process::say;
use metanode_client::{Connection, MetanodeArguments};

const AFTER_HELP: &str = "\
Without --metanode it is the `cairn server` of ./cairn-data (or --data-dir) that is asked. NODE is a datanode's id, the \
beginning of one, or its address.

Exit codes: 0 well; 1 it could not be done, and why is said on standard error; 2 wrong usage, or the answer is no (not \
safe, problems found, a replica is not good).";

/// `cairn admin`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct AdminArguments {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    metanode: MetanodeArguments,

    #[command(subcommand)]
    operation: Operation,
}

#[derive(Subcommand, Debug)]
enum Operation {
    /// The cluster at a glance: health, capacity, datanodes, background work
    Status,
    /// Show, drain, safely stop or remove datanodes
    #[command(subcommand)]
    Node(node::NodeOperation),
    /// Check everything that the metanode knows: missing, corrupt, under- and over-replicated and orphaned blocks
    Fsck(fsck::FsckArguments),
    /// Where an object is: version, blocks, datanodes; with --verify every replica is read and checked
    Where(location::WhereArguments),
    /// Move small objects together into packs, or show what would be packed
    #[command(subcommand)]
    Pack(pack::PackOperation),
    /// Move blocks from full datanodes to empty ones
    #[command(subcommand)]
    Balance(balance::BalanceOperation),
    /// Have datanodes read and check all of their blocks
    #[command(subcommand)]
    Scrub(scrub::ScrubOperation),
    /// Deletions that are held because the metanode's database may be older than the datanodes' replicas
    #[command(subcommand)]
    Hold(hold::HoldOperation),
    /// Show, pause or throttle background workers
    #[command(subcommand)]
    Worker(worker::WorkerOperation),
    /// Lifecycle rules: what they want of an object, and what is due
    #[command(subcommand)]
    Lifecycle(lifecycle::LifecycleOperation),
    /// The clock by which locks of versions end
    #[command(subcommand)]
    LockClock(lock_clock::LockClockOperation),
    /// What buckets use; their quota, replicas and block size
    #[command(subcommand)]
    Bucket(bucket::BucketOperation),
    /// Accounts: each has its own users, groups, roles and policies
    #[command(subcommand)]
    Account(identity::account::AccountOperation),
    /// Users, and what they have
    #[command(subcommand)]
    User(identity::user::UserOperation),
    /// Groups of users
    #[command(subcommand)]
    Group(identity::group::GroupOperation),
    /// Roles, which users and web identities take on for a time
    #[command(subcommand)]
    Role(identity::role::RoleOperation),
    /// Access keys of users: create, rotate, disable, delete
    #[command(subcommand)]
    Key(identity::key::KeyOperation),
    /// Policies: what users, groups and roles may do
    #[command(subcommand)]
    Policy(identity::policy::PolicyOperation),
    /// Providers of OpenID Connect, whose tokens roles may trust
    #[command(subcommand)]
    Oidc(identity::oidc::OidcOperation),
    /// Print the events so far, and with --follow new ones
    Events(events::EventsArguments),
    /// The root credentials, as lines to paste into a shell
    Credentials,
    /// Check whether a part is ready; exit code 0 if it is
    Health(health::HealthArguments),
    /// The secret that the parts of a cluster share
    #[command(subcommand)]
    Secret(secret::SecretOperation),
}

/// The outcome of a command that did not fail, from which its exit code follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The command did its work, or found nothing wrong: exit code 0.
    Well,
    /// The answer is no, or the data has problems: exit code 2.
    NotWell,
}

impl From<bool> for Outcome {
    fn from(well: bool) -> Self {
        if well { Self::Well } else { Self::NotWell }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Well => Self::SUCCESS,
            Outcome::NotWell => Self::from(2),
        }
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug)]
struct Printer {
    json: bool,
}

impl Printer {
    /// Prints a result as JSON or as text.
    fn show<T: Serialize + ?Sized>(self, result: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if self.json {
            say(serde_json::to_string_pretty(result)?);
        } else {
            say(text(result));
        }
        Ok(())
    }

    /// Prints a remark, which `--json` suppresses.
    fn note(self, text: impl std::fmt::Display) {
        if !self.json {
            say(text);
        }
    }
}

/// Runs an operation.
pub(crate) async fn run(arguments: AdminArguments) -> anyhow::Result<ExitCode> {
    let printer = Printer { json: arguments.json };
    let outcome = match arguments.operation {
        Operation::Health(health) => {
            health::run(health, &arguments.metanode, printer).await.map(|()| Outcome::Well)
        }
        Operation::Secret(operation) => {
            secret::run(operation, &arguments.metanode, printer).map(|()| Outcome::Well)
        }
        operation => {
            let connection = arguments.metanode.connect()?;
            ask(operation, &connection, printer).await.map_err(|error| connection.explain(error))
        }
    };
    outcome.map(ExitCode::from)
}

async fn ask(operation: Operation, connection: &Connection, printer: Printer) -> anyhow::Result<Outcome> {
    let (admin, iam, env) = (&connection.rpc, &connection.rpc, &connection.env);
    let done = match operation {
        Operation::Status => status::run(admin, printer).await,
        Operation::Node(operation) => return node::run(operation, admin, env, printer).await,
        Operation::Fsck(arguments) => return fsck::run(arguments, admin, printer).await,
        Operation::Where(arguments) => return location::run(arguments, connection, printer).await,
        Operation::Pack(operation) => pack::run(operation, admin, printer).await,
        Operation::Balance(operation) => balance::run(operation, admin, printer).await,
        Operation::Scrub(operation) => return scrub::run(operation, admin, env, printer).await,
        Operation::Worker(operation) => worker::run(operation, admin, printer).await,
        Operation::Hold(operation) => hold::run(operation, admin, printer).await,
        Operation::Lifecycle(operation) => lifecycle::run(operation, admin, printer).await,
        Operation::LockClock(operation) => lock_clock::run(operation, admin, printer).await,
        Operation::Bucket(operation) => bucket::run(operation, admin, printer).await,
        Operation::Account(operation) => identity::account::run(operation, iam, env, printer).await,
        Operation::User(operation) => identity::user::run(operation, iam, env, printer).await,
        Operation::Group(operation) => identity::group::run(operation, iam, env, printer).await,
        Operation::Role(operation) => identity::role::run(operation, iam, env, printer).await,
        Operation::Key(operation) => identity::key::run(operation, iam, env, printer).await,
        Operation::Policy(operation) => identity::policy::run(operation, iam, env, printer).await,
        Operation::Oidc(operation) => identity::oidc::run(operation, iam, env, printer).await,
        Operation::Events(arguments) => events::run(arguments, connection, printer).await,
        Operation::Credentials => credentials::run(connection, printer).await,
        Operation::Health(_) | Operation::Secret(_) => Ok(()),
    };
    done.map(|()| Outcome::Well)
}

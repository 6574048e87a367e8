//! `cairn admin`: one file per operation.

mod credentials;
mod events;
mod health;
mod metanode_client;
mod secret;
mod status;

use clap::{Args, Subcommand};

/// `cairn admin`.
#[derive(Args, Debug)]
pub(crate) struct AdminArguments {
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Subcommand, Debug)]
enum Operation {
    /// The cluster at a glance
    Status(status::StatusArguments),
    /// What happens, as it happens: one JSON object a line
    Events(events::EventsArguments),
    /// The root credentials
    Credentials(credentials::CredentialsArguments),
    /// Ask a part whether it is ready; exit code 0 if it is
    Health(health::HealthArguments),
    /// The secret that the parts of a cluster share
    #[command(subcommand)]
    Secret(secret::SecretOperation),
}

/// Runs an operation.
pub(crate) async fn run(arguments: AdminArguments) -> anyhow::Result<()> {
    match arguments.operation {
        Operation::Status(arguments) => status::run(arguments).await,
        Operation::Events(arguments) => events::run(arguments).await,
        Operation::Credentials(arguments) => credentials::run(arguments).await,
        Operation::Health(arguments) => health::run(arguments).await,
        Operation::Secret(operation) => secret::run(operation),
    }
}

//! `cairn config`.

mod show;

use clap::{ArgMatches, Args, Command, Subcommand};

use crate::arguments::{DatanodeArguments, GatewayArguments, MetanodeArguments, ServerArguments};
use crate::config_file::Origins;

/// `cairn config`.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigOperation {
    /// Show every setting of a part, its value, and where it comes from; secrets are hidden
    Show(ShowArguments),
}

/// `cairn config show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    part: Part,
}

/// The parts, each with the options of its own subcommand.
#[derive(Subcommand, Debug)]
enum Part {
    /// Settings of `cairn server`, given the same options
    Server(Box<ServerArguments>),
    /// Settings of `cairn gateway`, given the same options
    Gateway(Box<GatewayArguments>),
    /// Settings of `cairn metanode`, given the same options
    Metanode(Box<MetanodeArguments>),
    /// Settings of `cairn datanode`, given the same options
    Datanode(Box<DatanodeArguments>),
}

/// Runs an operation. `command` and `matches` are those of the whole command line.
pub(crate) fn run(
    operation: ConfigOperation,
    command: &Command,
    matches: &ArgMatches,
    origins: &Origins,
) -> anyhow::Result<()> {
    let ConfigOperation::Show(arguments) = operation;
    show::run(&arguments, command, matches, origins)
}

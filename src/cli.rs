//! The command line: all subcommands with their arguments. It uses [`arguments`](crate::arguments) and
//! [`command`](crate::command), neither of which uses it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::arguments::{DatanodeArguments, GatewayArguments, MetanodeArguments, ServerArguments};
use crate::command::admin::AdminArguments;
use crate::command::bench::BenchOperation;
use crate::command::completions::CompletionsArguments;
use crate::command::config::ConfigOperation;
use crate::command::s3_operations::S3OperationsArguments;
use crate::logging::LoggingArguments;

const AFTER_HELP: &str = "\
Options are taken, strongest first, from the command line, the environment (CAIRN_…), the TOML file
that --config names, and defaults that work. Sizes are written as 64KiB or 8MiB, times as 200ms, 10s or 5m.

Try it:  cairn server";

/// An S3-compatible object store over a replicated, checksummed block store
#[derive(Parser, Debug)]
#[command(name = "cairn", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct Cli {
    /// A TOML file with settings: long option names as keys, for all subcommands or in a table named after one
    #[arg(long, env = "CAIRN_CONFIG", global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub logging: LoggingArguments,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Everything in one process: a working store on one machine
    Server(Box<ServerArguments>),
    /// The S3 API; stateless, run as many as you like
    Gateway(Box<GatewayArguments>),
    /// Metadata and the management of blocks
    Metanode(Box<MetanodeArguments>),
    /// Blocks on disks
    Datanode(Box<DatanodeArguments>),
    /// Inspect and control a running cluster
    Admin(Box<AdminArguments>),
    /// Measure S3 servers: throughput, latency, and what they cost
    #[command(subcommand)]
    Bench(Box<BenchOperation>),
    /// Show the settings, and where each comes from
    #[command(subcommand)]
    Config(ConfigOperation),
    /// Print a script that completes `cairn` in a shell
    Completions(CompletionsArguments),
    /// Which operations, headers and parameters of S3 work, as JSON
    #[command(hide = true)]
    S3Operations(S3OperationsArguments),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_is_documented_and_has_its_environment_variable() {
        let command = Cli::command();
        for subcommand in ["server", "gateway", "metanode", "datanode"] {
            let subcommand = command.find_subcommand(subcommand).unwrap();
            for option in subcommand
                .get_arguments()
                .filter(|option| option.get_long().is_some_and(|long| long != "help"))
            {
                let name = option.get_long().unwrap().to_uppercase().replace('-', "_");
                assert_eq!(option.get_env().unwrap().to_str(), Some(format!("CAIRN_{name}").as_str()));
                assert!(option.get_help().is_some(), "{name} has no help");
            }
        }
    }

    #[test]
    fn a_wrong_value_is_answered_with_what_is_allowed() {
        let complaint = |line: &[&str]| Cli::try_parse_from(line).unwrap_err().to_string();
        assert!(complaint(&["cairn", "server", "--block-size", "1GiB"]).contains("64KiB to 256MiB"));
        assert!(complaint(&["cairn", "server", "--stale-after", "ten"]).contains("200ms, 10s or 5m"));
        assert!(complaint(&["cairn", "gateway", "--metanode", "localhost"]).contains("https://host:port"));
        assert!(complaint(&["cairn", "server", "--datanodes", "0"]).contains("1..=64"));
        assert!(complaint(&["cairn", "server", "--lisen", "x"]).contains("--listen"));
    }
}

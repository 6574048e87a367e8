//! The `cairn` command.
//!
//! | module | what is there |
//! |---|---|
//! | [`cli`] | the command line: all subcommands |
//! | [`arguments`] | options that subcommands share, and how they become a part's configuration |
//! | [`command`] | one file per subcommand |
//! | [`config_file`] | the TOML file, whose values are clap's defaults |
//! | [`secret_source`] | where the cluster's secret comes from |
//! | [`logging`], [`process`] | logs; signals and exit codes |
//! | [`table`], [`units`] | tables and numbers as operators read them |

mod arguments;
mod cli;
mod command;
mod config_file;
mod logging;
mod process;
mod secret_source;
mod table;
mod units;

use std::process::ExitCode;

/// Gives memory back to the system some seconds after it was used.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use clap::{CommandFactory, FromArgMatches};

use cli::{Cli, Command};

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            process::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<ExitCode> {
    let (command, origins) = config_file::layer_under(Cli::command())?;
    let matches = command.clone().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let operation = match cli.command {
        Command::Config(operation) => {
            command::config::run(operation, &command, &matches, &origins)?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::Completions(arguments) => {
            command::completions::run(&arguments, Cli::command());
            return Ok(ExitCode::SUCCESS);
        }
        Command::S3Operations(arguments) => {
            command::s3_operations::run(&arguments);
            return Ok(ExitCode::SUCCESS);
        }
        operation => operation,
    };
    let _lines = logging::start(&cli.logging)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run(operation));
    // The callers of tasks that still run on the blocking pool are gone, so the process waits a second for them only.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::Server(arguments) => command::server::run(*arguments).await,
        Command::Gateway(arguments) => command::gateway::run(*arguments).await,
        Command::Metanode(arguments) => command::metanode::run(*arguments).await,
        Command::Datanode(arguments) => command::datanode::run(*arguments).await,
        Command::Bench(operation) => return command::bench::run(*operation).await,
        Command::Admin(arguments) => return command::admin::run(*arguments).await,
        Command::Config(_) | Command::Completions(_) | Command::S3Operations(_) => Ok(()),
    };
    done.map(|()| ExitCode::SUCCESS)
}

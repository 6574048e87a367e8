//! The `cairn` command: one file per subcommand under [`command`].

mod arguments;
mod command;
mod config_file;
mod logging;
mod process;
mod secret_source;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use arguments::{Cli, Command};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    let command = config_file::layer_under(Cli::command())?;
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    logging::start(&cli.logging)?;
    process::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Server(arguments) => command::server::run(*arguments).await,
            Command::Gateway(arguments) => command::gateway::run(*arguments).await,
            Command::Metanode(arguments) => command::metanode::run(*arguments).await,
            Command::Datanode(arguments) => command::datanode::run(*arguments).await,
            Command::Admin(arguments) => command::admin::run(*arguments).await,
        }
    });
    // Whatever still runs on the blocking pool has nothing left to say to anybody.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

//! Logs go to standard error.

use anyhow::Context;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How to log.
#[derive(Args, Debug)]
pub(crate) struct LoggingArguments {
    /// What to log: a level (error, warn, info, debug, trace), or levels per module as in `warn,cairn_metanode=debug`
    #[arg(
        long,
        env = "CAIRN_LOG",
        default_value = "info",
        global = true,
        value_name = "FILTER",
        help_heading = "Logging"
    )]
    log: String,

    /// How log lines look
    #[arg(long, env = "CAIRN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true, help_heading = "Logging")]
    log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging.
pub(crate) fn start(arguments: &LoggingArguments) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&arguments.log)
        .with_context(|| format!("--log {} is not a level or a list of module=level", arguments.log))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match arguments.log_format {
        LogFormat::Text => logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

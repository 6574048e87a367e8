//! Logs go to standard error.

use anyhow::Context;
use clap::{Args, ValueEnum};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Options of logging.
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

    /// Format of log lines
    #[arg(long, env = "CAIRN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true, help_heading = "Logging")]
    log_format: LogFormat,
}

/// The formats of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging.
pub(crate) fn start(arguments: &LoggingArguments) -> anyhow::Result<()> {
    let filter = parse_filter(&arguments.log)
        .with_context(|| format!("--log {} is not a level or a list of module=level", arguments.log))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match arguments.log_format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}

/// A level, or levels per module. A filter by span, in brackets, is refused: [`Targets`] would take it for the name of a module.
fn parse_filter(text: &str) -> anyhow::Result<Targets> {
    anyhow::ensure!(!text.contains('['), "filters by span are not supported");
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--log '[span]'` was taken for a module of that name, so that the server started and logged nothing of it.
    #[test]
    fn a_filter_is_a_level_or_levels_per_module() {
        assert!(parse_filter("info").is_ok() && parse_filter("warn,cairn_metanode=debug").is_ok());
        assert!(parse_filter("[span]").is_err() && parse_filter("cairn=loud").is_err());
    }
}

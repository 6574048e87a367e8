//! Logs go to standard error.
//!
//! A thread of its own writes them, many lines at once when there are many. When whoever reads standard error does not keep up, lines
//! are dropped and counted, because a server must not stop with its log.

use std::io::{BufWriter, Write};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
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

/// Lines that wait to be written: a second of a busy gateway, in some megabytes.
const LINES_MAX: usize = 16_384;

/// Starts logging. The lines so far are written when the returned value is dropped.
pub(crate) fn start(arguments: &LoggingArguments) -> anyhow::Result<WorkerGuard> {
    let filter = parse_filter(&arguments.log)
        .with_context(|| format!("--log {} is not a level or a list of module=level", arguments.log))?;
    let tell = |lines| {
        tracing::warn!(lines, "log lines were dropped, because standard error did not take them in time")
    };
    let (writer, guard) = queued(std::io::stderr(), LINES_MAX, tell);
    let lines = fmt::layer().with_writer(writer);
    let lines = match arguments.log_format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(guard)
}

/// A writer that only queues lines, up to `lines_max` of them. `tell` gets the number of those that were dropped since the last time.
fn queued(
    out: impl Write + Send + 'static,
    lines_max: usize,
    tell: impl Fn(usize) + Send + 'static,
) -> (NonBlocking, WorkerGuard) {
    let counter = Arc::new(OnceLock::new());
    let lines = Lines { out: BufWriter::new(out), counter: counter.clone(), told: 0, tell };
    let builder = NonBlockingBuilder::default().buffered_lines_limit(lines_max).thread_name("cairn-log");
    let (writer, guard) = builder.finish(lines);
    // Nothing is written before the writer is given away.
    let _ = counter.set(writer.error_counter());
    (writer, guard)
}

/// What the thread writes to: flushed when no further line waits.
struct Lines<W: Write, T> {
    out: BufWriter<W>,
    counter: Arc<OnceLock<ErrorCounter>>,
    /// The dropped lines that were told of.
    told: usize,
    tell: T,
}

impl<W: Write, T: Fn(usize)> Write for Lines<W, T> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()?;
        let dropped = self.counter.get().map_or(0, ErrorCounter::dropped_lines);
        if dropped > self.told {
            (self.tell)(dropped - self.told);
            self.told = dropped;
        }
        Ok(())
    }
}

/// A level, or levels per module. A filter by span, in brackets, is refused: [`Targets`] would take it for the name of a module.
fn parse_filter(text: &str) -> anyhow::Result<Targets> {
    anyhow::ensure!(!text.contains('['), "filters by span are not supported");
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes bytes only when it is allowed to.
    struct Pipe {
        allowed: Receiver<()>,
        taken: Sender<Vec<u8>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.allowed.recv();
            let _ = self.taken.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A server whose standard error nobody read stood still as soon as the pipe was full.
    #[test]
    fn lines_that_nobody_takes_are_dropped_and_counted() {
        let ((allow, allowed), (taken, written), (told, dropped)) = (channel(), channel(), channel());
        let (mut writer, _guard) =
            queued(Pipe { allowed, taken }, 10, move |lines| told.send(lines).unwrap());
        // So long that the buffer of the thread holds few of them.
        let line = format!("{}\n", "x".repeat(2000));
        for _ in 0..1000 {
            writer.write_all(line.as_bytes()).unwrap();
        }
        drop(allow);
        let dropped = dropped.recv().unwrap();
        let lines = |bytes: Vec<u8>| bytes.iter().filter(|&&byte| byte == b'\n').count();
        let written: usize = written.try_iter().map(lines).sum();
        assert!(dropped >= 900, "only some lines wait: {dropped} of 1000 were dropped");
        assert!(dropped + written <= 1000, "{dropped} and {written}");
    }

    /// `--log '[span]'` was taken for a module of that name, so that the server started and logged nothing of it.
    #[test]
    fn a_filter_is_a_level_or_levels_per_module() {
        assert!(parse_filter("info").is_ok() && parse_filter("warn,cairn_metanode=debug").is_ok());
        assert!(parse_filter("[span]").is_err() && parse_filter("cairn=loud").is_err());
    }
}

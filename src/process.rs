//! Process-wide services of the subcommands: listeners, signals, limits, standard output.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use cairn_protocol::warn_self;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Prints one line on standard error with the reason of a failure.
#[expect(clippy::print_stderr, reason = "this is the command's voice")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("cairn: {error:#}");
}

/// Prints one line of the command's result. A closed pipe is no error.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a remark, which is no part of the command's result, on standard error.
pub(crate) fn remark(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Raises the soft limit of open files to the hard limit, and logs the outcome. Each connection and each block that is being
/// read is an open file. The soft limit is low by default only for programs that use select(2).
pub(crate) fn raise_file_limit() {
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: before.maximum, ..before };
    match rustix::process::setrlimit(rustix::process::Resource::Nofile, raised) {
        Ok(()) => {
            // rustix returns None for "no limit".
            let limit =
                |limit: Option<u64>| limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
            let (from, to) = (limit(before.current), limit(before.maximum));
            if from == to {
                tracing::info!(limit = to, "the limit of open files is as high as it may be");
            } else {
                tracing::info!(from, to, "raised the limit of open files");
            }
        }
        Err(error) => warn_self!(%error, limit = before.current, "the limit of open files stays low"),
    }
}

/// Binds a listener.
pub(crate) async fn listen(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("cannot listen on {address}: another process does already; choose another address with {option}")
        }
        _ => anyhow::anyhow!("cannot listen on {address}: {error}; choose another address with {option}"),
    })
}

/// A token that the first SIGINT (Ctrl-C) or SIGTERM cancels. A second signal ends the process at once, without waiting for
/// requests in flight.
pub(crate) fn shutdown_on_signals() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let shutdown = CancellationToken::new();
    let cancelled = shutdown.clone();
    tokio::spawn(async move {
        for second in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if second {
                tracing::info!("stopping at once");
                std::process::exit(130);
            }
            tracing::info!("stopping: finishing what is in flight; once more to stop at once");
            cancelled.cancel();
        }
    });
    Ok(shutdown)
}

//! Progress bars: on standard error, and only if that is a terminal.

use std::time::Duration;

use cairn_protocol::env::Env;
use indicatif::{ProgressBar, ProgressStyle};

/// Interval of the polls while a command waits.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Waits for the next poll.
pub(super) async fn pause(env: &Env) {
    env.sleep(POLL_INTERVAL).await;
}

/// The unit of a bar's numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// A number of items.
    Count,
    /// Bytes.
    Bytes,
    /// Thousandths.
    Permille,
}

/// A progress bar. Dropping it clears it from the terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(total: u64, unit: Unit) -> Self {
        let numbers = match unit {
            Unit::Count => "{human_pos}/{human_len}",
            Unit::Bytes => "{binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}",
            Unit::Permille => "{percent} %",
        };
        let style = ProgressStyle::with_template(&format!("{{elapsed}} [{{bar:30}}] {numbers} {{wide_msg}}"));
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(total).with_style(style.progress_chars("=> ")))
    }

    /// Sets the position and the total.
    pub(super) fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Advances the position by `done`.
    pub(super) fn advance(&self, done: u64) {
        self.0.inc(done);
    }

    /// Sets the message beside the bar.
    pub(super) fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// Whether the bar is not shown.
    pub(super) fn is_hidden(&self) -> bool {
        self.0.is_hidden()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

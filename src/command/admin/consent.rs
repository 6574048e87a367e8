//! Consent to destructive commands: the command shows what would happen, and the operator has to agree.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::bail;
use clap::Args;

/// The options for consent.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Consent {
    /// Only show what would happen
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,

    /// Do it without asking
    #[arg(long, short)]
    pub(super) yes: bool,
}

impl Consent {
    /// Whether to go on. Asks at a terminal; without one, only `--yes` is consent.
    pub(super) fn given(self) -> anyhow::Result<bool> {
        let stdin = std::io::stdin();
        if self.dry_run || self.yes {
            return Ok(self.yes);
        }
        if !stdin.is_terminal() {
            bail!("nothing was done: add --yes to do this, or --dry-run to only be told what would happen");
        }
        let mut terminal = std::io::stderr();
        write!(terminal, "Go on? [y/N] ")?;
        terminal.flush()?;
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        if !agrees(&answer) {
            bail!("nothing was done");
        }
        Ok(true)
    }
}

fn agrees(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_not_consent() {
        assert!(agrees("y\n") && agrees(" Yes \n"));
        assert!(!agrees("\n") && !agrees("") && !agrees("no\n") && !agrees("yesterday\n"));
    }
}

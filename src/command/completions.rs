//! `cairn completions`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::process::say;

const AFTER_HELP: &str = "\
For bash:  cairn completions bash > ~/.local/share/bash-completion/completions/cairn
For fish:  cairn completions fish > ~/.config/fish/completions/cairn.fish
For zsh:   cairn completions zsh > a file _cairn in a directory of $fpath";

/// `cairn completions`.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Prints the script that completes `command`.
pub(crate) fn run(arguments: &CompletionsArguments, mut command: Command) {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "cairn", &mut script);
    say(String::from_utf8_lossy(&script));
}

use std::path::PathBuf;

use cairn_protocol::env::Env;
use clap::Subcommand;

use crate::process::say;
use crate::secret_source::create;

#[derive(Subcommand, Debug)]
pub(super) enum SecretOperation {
    /// Make a file with a fresh secret; a file that exists is kept
    Create {
        /// The file
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
}

pub(super) fn run(operation: SecretOperation) -> anyhow::Result<()> {
    let SecretOperation::Create { file } = operation;
    if create(&file, &Env::system())? {
        say(format_args!("made {}", file.display()));
    } else {
        say(format_args!("{} exists, and is kept", file.display()));
    }
    Ok(())
}

use std::path::PathBuf;

use cairn_protocol::env::Env;
use clap::Subcommand;

use super::Printer;
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

pub(super) fn run(operation: SecretOperation, printer: Printer) -> anyhow::Result<()> {
    let SecretOperation::Create { file } = operation;
    let made = create(&file, &Env::system())?;
    let file = file.display();
    printer.show(&serde_json::json!({ "file": file.to_string(), "made": made }), |_| {
        if made { format!("made {file}") } else { format!("{file} exists, and is kept") }
    })
}

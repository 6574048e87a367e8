//! `cairn admin secret`: creates a cluster secret, or a certificate of the cluster's authority.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use cairn_protocol::env::Env;
use cairn_protocol::tls::Authority;
use clap::Subcommand;

use super::Printer;
use super::metanode_client::MetanodeArguments;
use crate::arguments::values::duration;
use crate::secret_source::{create, write_private};

#[derive(Subcommand, Debug)]
pub(super) enum SecretOperation {
    /// Create a file with a new secret; a file that exists is kept
    Create {
        /// The file
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Write a certificate of the cluster, for your own programs that call its parts: ca.pem, cert.pem and key.pem
    Certificate {
        /// Where to write them; files that exist are replaced
        #[arg(long, value_name = "DIR")]
        to: PathBuf,

        /// How long the certificate is valid
        #[arg(long, default_value = "30d", value_name = "TIME", value_parser = duration)]
        valid: Duration,
    },
}

pub(super) fn run(
    operation: SecretOperation,
    cluster: &MetanodeArguments,
    printer: Printer,
) -> anyhow::Result<()> {
    match operation {
        SecretOperation::Create { file } => {
            let made = create(&file, &Env::system())?;
            let file = file.display();
            printer.show(&serde_json::json!({ "file": file.to_string(), "made": made }), |_| {
                if made { format!("made {file}") } else { format!("{file} exists, and is kept") }
            })
        }
        SecretOperation::Certificate { to, valid } => certificate(&to, valid, cluster, printer),
    }
}

/// How far in the past the validity of a certificate begins, for machines whose clocks are behind.
const BEGUN: Duration = Duration::from_secs(600);

fn certificate(
    to: &std::path::Path,
    valid: Duration,
    cluster: &MetanodeArguments,
    printer: Printer,
) -> anyhow::Result<()> {
    let env = Env::system();
    let authority = Authority::of_secret(&cluster.secret()?)?;
    let until = env.now().after(valid);
    let leaf = authority.issue(&env.random_bytes(), env.now().before(BEGUN), until)?;
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for (name, text) in [
        ("ca.pem", authority.certificate_pem()),
        ("cert.pem", leaf.certificate_pem()),
        ("key.pem", leaf.key_pem()),
    ] {
        let file = to.join(name);
        replace_private(&file, text.trim_end(), &env)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let until = crate::units::time(until);
    printer.show(&serde_json::json!({ "directory": to.display().to_string(), "until": until }), |_| {
        format!("wrote ca.pem, cert.pem and key.pem to {}, good until {until}", to.display())
    })
}

/// Writes a temporary file and renames it, so that a reader sees either the old file or the new one.
fn replace_private(file: &std::path::Path, text: &str, env: &Env) -> std::io::Result<()> {
    let aside = file.with_extension(format!("{}.new", env.uuid_v4()));
    let done = write_private(&aside, text).and_then(|()| std::fs::rename(&aside, file));
    if done.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    done
}

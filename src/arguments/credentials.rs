//! Options for the root credentials. Without them the metanode generates its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cairn_protocol::metadata::RootCredentials;
use clap::Args;

use super::values::access_key;

/// The root credentials, which may do everything.
#[derive(Args, Clone)]
#[command(
    next_help_heading = "Root credentials (made at the first start, kept, and printed once, unless given here)"
)]
#[group(skip)]
pub(crate) struct CredentialArguments {
    /// Root access key
    #[arg(long, env = "CAIRN_ROOT_ACCESS_KEY", value_name = "KEY", requires = "root_secret", value_parser = access_key)]
    pub root_access_key: Option<String>,

    /// Root secret key, 8 characters or more; other users of the machine can see it among the process's arguments, so
    /// give it in a file or in the environment
    // clap does not check the length, because its error message would print the secret.
    #[arg(
        long,
        env = "CAIRN_ROOT_SECRET_KEY",
        hide_env_values = true,
        value_name = "KEY",
        requires = "root_access_key",
        group = "root_secret"
    )]
    root_secret_key: Option<String>,

    /// A file that holds the root secret key and nothing else
    #[arg(
        long,
        env = "CAIRN_ROOT_SECRET_KEY_FILE",
        value_name = "FILE",
        requires = "root_access_key",
        group = "root_secret"
    )]
    root_secret_key_file: Option<PathBuf>,
}

impl std::fmt::Debug for CredentialArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialArguments")
            .field("root_access_key", &self.root_access_key)
            .finish_non_exhaustive()
    }
}

/// The minimum length of a secret key in characters. Shorter ones can be guessed.
const SECRET_KEY_LENGTH_MIN: usize = 8;

impl CredentialArguments {
    /// The credentials that the options give, or None without options.
    ///
    /// # Errors
    /// When the file cannot be read, or the secret is too short. The error never contains the secret.
    pub(crate) fn load(&self) -> anyhow::Result<Option<RootCredentials>> {
        let (secret_key, origin) = match (&self.root_secret_key, &self.root_secret_key_file) {
            (Some(secret), _) => (secret.clone(), "--root-secret-key".to_owned()),
            (None, Some(file)) => (read(file)?, file.display().to_string()),
            (None, None) => return Ok(None),
        };
        if secret_key.len() < SECRET_KEY_LENGTH_MIN {
            bail!("{origin}: a secret key has {SECRET_KEY_LENGTH_MIN} characters or more");
        }
        Ok(self.root_access_key.clone().map(|access_key| RootCredentials { access_key, secret_key }))
    }
}

/// The file's text without the final line break that editors and `echo` add.
fn read(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the root secret key from {}", file.display()))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn credentials(line: &[&str]) -> Result<CredentialArguments, clap::Error> {
        let line = ["cairn", "metanode"].iter().chain(line);
        let Command::Metanode(arguments) = Cli::try_parse_from(line)?.command else { unreachable!() };
        Ok(arguments.credentials)
    }

    const KEY: [&str; 2] = ["--root-access-key", "admin"];

    #[test]
    fn the_secret_is_given_itself_or_in_a_file() {
        assert_eq!(credentials(&[]).unwrap().load().unwrap(), None);
        let expected = RootCredentials { access_key: "admin".into(), secret_key: "correct horse".into() };
        let given = credentials(&[&KEY[..], &["--root-secret-key", "correct horse"]].concat()).unwrap();
        assert_eq!(given.load().unwrap().as_ref(), Some(&expected));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        for end in ["", "\n", "\r\n"] {
            std::fs::write(&file, format!("correct horse{end}")).unwrap();
            let option = ["--root-secret-key-file", file.to_str().unwrap()];
            let given = credentials(&[&KEY[..], &option].concat()).unwrap();
            assert_eq!(given.load().unwrap().as_ref(), Some(&expected));
        }
    }

    #[test]
    fn half_of_the_credentials_or_two_secrets_are_refused() {
        let key = ["--root-secret-key", "correct horse"];
        let file = ["--root-secret-key-file", "file"];
        for line in [&KEY[..], &key, &file, &[&KEY[..], &key, &file].concat()] {
            assert!(credentials(line).is_err(), "{line:?}");
        }
    }

    /// The error about a secret key that was too short printed the key,
    /// even if it came from the environment.
    #[test]
    fn no_error_and_no_debug_output_contains_a_secret() {
        let given = credentials(&[&KEY[..], &["--root-secret-key", "hunter2"]].concat()).unwrap();
        let complaint = format!("{:#}", given.load().unwrap_err());
        assert!(complaint.contains("8 characters or more") && !complaint.contains("hunter2"), "{complaint}");
        assert!(!format!("{given:?}").contains("hunter2"));
    }
}

//! Options for the master key, which seals the secrets of access keys. Without them it is made in the data directory.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_metanode::{MasterKey, MasterKeySource};
use clap::Args;

/// Where the master key is.
#[derive(Args, Clone)]
#[command(next_help_heading = "Master key")]
#[group(skip)]
pub(crate) struct MasterKeyArguments {
    /// The file of the key that seals the secrets of access keys in the database; made at the first start; by default
    /// master.key in the data directory
    #[arg(long, env = "CAIRN_MASTER_KEY_FILE", value_name = "FILE", conflicts_with = "master_key")]
    master_key_file: Option<PathBuf>,

    /// The key itself, 32 bytes in base64 or 64 hexadecimal digits; give it in the environment, because other users of the
    /// machine can see it among the process's arguments
    // clap does not check the text, because its error message would print the key.
    #[arg(long, env = "CAIRN_MASTER_KEY", hide_env_values = true, value_name = "KEY")]
    master_key: Option<String>,
}

impl std::fmt::Debug for MasterKeyArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterKeyArguments")
            .field("master_key_file", &self.master_key_file)
            .finish_non_exhaustive()
    }
}

impl MasterKeyArguments {
    /// Where the key is; `default` is its file without options.
    ///
    /// # Errors
    /// When the given text is no key. The error does not contain the text.
    pub(crate) fn source(&self, default: &Path) -> anyhow::Result<MasterKeySource> {
        match (&self.master_key, &self.master_key_file) {
            (Some(text), _) => Ok(MasterKeySource::Given(MasterKey::parse(text).context("--master-key")?)),
            (None, Some(file)) => Ok(MasterKeySource::File(file.clone())),
            (None, None) => Ok(MasterKeySource::File(default.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn options(line: &[&str]) -> Result<MasterKeyArguments, clap::Error> {
        let line = ["cairn", "metanode"].iter().chain(line);
        let Command::Metanode(arguments) = Cli::try_parse_from(line)?.command else { unreachable!() };
        Ok(arguments.master_key)
    }

    #[test]
    fn the_key_is_in_a_file_or_given_itself() {
        let source = |line: &[&str]| options(line).unwrap().source(Path::new("default"));
        assert!(matches!(source(&[]), Ok(MasterKeySource::File(file)) if file == Path::new("default")));
        let file = ["--master-key-file", "other"];
        assert!(matches!(source(&file), Ok(MasterKeySource::File(file)) if file == Path::new("other")));
        let key = "0123456789abcdef".repeat(4);
        assert!(matches!(source(&["--master-key", &key]), Ok(MasterKeySource::Given(_))));
        assert!(options(&["--master-key", &key, "--master-key-file", "other"]).is_err());
    }

    #[test]
    fn no_error_and_no_debug_output_contains_the_key() {
        let given = options(&["--master-key", "hunter2"]).unwrap();
        let complaint = format!("{:#}", given.source(Path::new("default")).unwrap_err());
        assert!(complaint.contains("32 bytes") && !complaint.contains("hunter2"), "{complaint}");
        assert!(!format!("{given:?}").contains("hunter2"));
    }
}

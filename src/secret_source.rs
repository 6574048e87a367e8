//! Where the cluster's secret comes from.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cairn_protocol::env::Env;
use cairn_protocol::secret::ClusterSecret;
use clap::Args;

/// Options for the secret that all parts of a cluster share.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster secret")]
pub(crate) struct SecretArguments {
    /// The secret that all parts of the cluster share, 32 characters or more
    #[arg(long, env = "CAIRN_CLUSTER_SECRET", hide_env_values = true, global = true, value_name = "SECRET")]
    cluster_secret: Option<String>,

    /// A file that holds the cluster's secret; `cairn admin secret create` makes one
    #[arg(
        long,
        env = "CAIRN_CLUSTER_SECRET_FILE",
        global = true,
        value_name = "FILE",
        conflicts_with = "cluster_secret"
    )]
    cluster_secret_file: Option<PathBuf>,
}

impl SecretArguments {
    /// The configured secret. Without one it fails, because there is no default secret.
    pub(crate) fn load(&self) -> anyhow::Result<ClusterSecret> {
        match self.configured()? {
            Some(secret) => Ok(secret),
            None => bail!(
                "no cluster secret: nothing internal is anonymous. Make one with `cairn admin secret create --file \
                 cluster.secret` and give it to every part with --cluster-secret-file or CAIRN_CLUSTER_SECRET_FILE"
            ),
        }
    }

    /// The configured secret, or else that of `file`, which is created if it does not exist.
    pub(crate) fn load_or_create(&self, file: &Path, env: &Env) -> anyhow::Result<ClusterSecret> {
        if let Some(secret) = self.configured()? {
            return Ok(secret);
        }
        create(file, env)?;
        read(file)
    }

    /// The configured secret, or else that of `file`.
    pub(crate) fn load_or_read(&self, file: &Path) -> anyhow::Result<ClusterSecret> {
        match self.configured_or_in(file)? {
            Some(secret) => Ok(secret),
            None => self.load(),
        }
    }

    /// The configured secret, or else that of `file`, or None if the file does not exist.
    pub(crate) fn configured_or_in(&self, file: &Path) -> anyhow::Result<Option<ClusterSecret>> {
        match self.configured()? {
            None if file.exists() => read(file).map(Some),
            configured => Ok(configured),
        }
    }

    fn configured(&self) -> anyhow::Result<Option<ClusterSecret>> {
        match (&self.cluster_secret, &self.cluster_secret_file) {
            (Some(text), _) => Ok(Some(ClusterSecret::new(text).context("--cluster-secret")?)),
            (None, Some(file)) => read(file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn read(file: &Path) -> anyhow::Result<ClusterSecret> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the cluster secret from {}", file.display()))?;
    ClusterSecret::new(&text).with_context(|| format!("{}", file.display()))
}

/// Creates a file with a new secret, readable by its owner only. Returns whether it was created: an existing file is kept.
pub(crate) fn create(file: &Path, env: &Env) -> anyhow::Result<bool> {
    if file.exists() {
        read(file)?;
        return Ok(false);
    }
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The secret is written to a temporary file, which is then linked to its place: of two processes that do this at the
    // same time, one creates the file and both use its secret.
    let aside = directory.join(format!(".secret-{}", env.uuid_v4()));
    let written = write_private(&aside, &ClusterSecret::generate(env))
        .and_then(|()| std::fs::hard_link(&aside, file))
        .and_then(|()| std::fs::File::open(directory)?.sync_all());
    let _ = std::fs::remove_file(&aside);
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", file.display())),
    }
}

pub(crate) fn write_private(file: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        let env = Env::system();
        assert!(create(&file, &env).unwrap());
        let first = std::fs::read_to_string(&file).unwrap();
        assert!(!create(&file, &env).unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_error_without_a_secret_names_the_ways_to_give_one() {
        let error = SecretArguments::default().load().unwrap_err();
        assert!(error.to_string().contains("cairn admin secret create"));
    }
}

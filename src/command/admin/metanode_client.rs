//! The connection of operators' commands to the metanode.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cairn_protocol::admin::AdminError;
use cairn_protocol::env::Env;
use cairn_protocol::iam::IamError;
use cairn_protocol::metadata::MetadataError;
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::tls::Identity;
use clap::Args;

use crate::arguments::InternalTlsArguments;
use crate::arguments::values::base_url;
use crate::command::server::{ADDRESS_FILE, SECRET_FILE};
use crate::secret_source::SecretArguments;

/// The options that select the cluster.
#[derive(Args, Debug)]
#[command(next_help_heading = "Which cluster")]
pub(super) struct MetanodeArguments {
    /// Base URL of the metanode; by default that of the `cairn server` in --data-dir
    #[arg(long, env = "CAIRN_METANODE", global = true, value_name = "URL", value_parser = base_url)]
    metanode: Option<String>,

    /// Data directory of the `cairn server` to connect to
    #[arg(long, env = "CAIRN_DATA_DIR", global = true, default_value = "./cairn-data", value_name = "DIR")]
    data_dir: PathBuf,

    #[command(flatten)]
    secret: SecretArguments,

    #[command(flatten)]
    tls: InternalTlsArguments,
}

/// A connection to a metanode.
pub(super) struct Connection {
    pub(super) rpc: RpcClient,
    pub(super) secret: ClusterSecret,
    pub(super) identity: Identity,
    pub(super) env: Env,
}

impl MetanodeArguments {
    pub(super) fn connect(&self) -> anyhow::Result<Connection> {
        let env = Env::system();
        let address = match &self.metanode {
            Some(address) => address.clone(),
            None => server_address(&self.data_dir)?,
        };
        let secret = self.secret.load_or_read(&self.data_dir.join(SECRET_FILE))?;
        let identity = self.tls.identity(&secret, &env)?;
        let rpc = RpcClient::with_identity(&address, secret.clone(), &identity, env.clone())?;
        Ok(Connection { rpc, secret, identity, env })
    }

    /// The certificate for TLS, or None if no secret is configured.
    pub(super) fn identity(&self) -> anyhow::Result<Option<Identity>> {
        match self.secret.configured_or_in(&self.data_dir.join(SECRET_FILE))? {
            Some(secret) => self.tls.identity(&secret, &Env::system()).map(Some),
            None => Ok(None),
        }
    }

    /// The secret of the selected cluster.
    pub(super) fn secret(&self) -> anyhow::Result<ClusterSecret> {
        self.secret.load_or_read(&self.data_dir.join(SECRET_FILE))
    }
}

impl Connection {
    /// Adds to an error of the metanode what the operator can do about it.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let base = self.rpc.base();
        let admin = error.downcast_ref::<AdminError>();
        let metadata = error.downcast_ref::<MetadataError>();
        let iam = error.downcast_ref::<IamError>();
        match (admin, metadata, iam) {
            (Some(AdminError::Unavailable { reason }), _, _)
            | (_, Some(MetadataError::Unavailable { reason }), _)
            | (_, _, Some(IamError::Unavailable { reason })) => {
                anyhow::anyhow!(
                    "the metanode at {base} does not answer as it should: {reason}; see that it runs, or name another \
                     one with --metanode URL"
                )
            }
            (Some(AdminError::Unauthorized { reason }), _, _)
            | (_, Some(MetadataError::Unauthorized { reason }), _)
            | (_, _, Some(IamError::Unauthorized { reason })) => {
                anyhow::anyhow!(
                    "the metanode at {base} refuses this cluster secret: {reason}; give the one that the cluster has \
                     with --cluster-secret-file FILE"
                )
            }
            (Some(AdminError::Malformed { reason }), _, _) | (_, _, Some(IamError::Malformed { reason })) => {
                anyhow::anyhow!(
                    "the metanode at {base} does not understand this: {reason}; is it of version {}, as this command is?",
                    env!("CARGO_PKG_VERSION")
                )
            }
            _ => error,
        }
    }
}

fn server_address(data_dir: &Path) -> anyhow::Result<String> {
    let file = data_dir.join(ADDRESS_FILE);
    if !file.exists() {
        bail!(
            "no `cairn server` runs in {}; name the metanode with --metanode URL, or the server's directory with --data-dir",
            data_dir.display()
        );
    }
    let address =
        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(address.trim().to_owned())
}

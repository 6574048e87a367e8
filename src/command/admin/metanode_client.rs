//! How operators reach the metanode.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cairn_protocol::env::Env;
use cairn_protocol::rpc::RpcClient;
use cairn_protocol::secret::ClusterSecret;
use clap::Args;

use crate::command::server::{ADDRESS_FILE, SECRET_FILE};
use crate::secret_source::SecretArguments;

/// Which cluster is meant.
#[derive(Args, Debug)]
pub(super) struct MetanodeArguments {
    /// Base URL of the metanode; without it the `cairn server` of --data-dir is asked
    #[arg(long, env = "CAIRN_METANODE", value_name = "URL")]
    metanode: Option<String>,

    /// Data directory of the `cairn server` to ask
    #[arg(long, env = "CAIRN_DATA_DIR", default_value = "./cairn-data", value_name = "DIR")]
    data_dir: PathBuf,

    #[command(flatten)]
    secret: SecretArguments,
}

/// A metanode to ask.
pub(super) struct Metanode {
    pub(super) rpc: RpcClient,
    pub(super) secret: ClusterSecret,
    pub(super) env: Env,
}

impl MetanodeArguments {
    pub(super) fn connect(&self) -> anyhow::Result<Metanode> {
        let env = Env::system();
        let address = match &self.metanode {
            Some(address) => address.clone(),
            None => server_address(&self.data_dir)?,
        };
        let secret = self.secret.load_or_read(&self.data_dir.join(SECRET_FILE))?;
        let rpc = RpcClient::new(&address, secret.clone(), env.clone())?;
        Ok(Metanode { rpc, secret, env })
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

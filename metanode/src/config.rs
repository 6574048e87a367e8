//! The configuration of a metanode.

use std::path::PathBuf;
use std::sync::Arc;

use cairn_listener::Limits;
use cairn_listener::tls::ServerConfig;
use cairn_protocol::id::ClusterId;
use cairn_protocol::metadata::RootCredentials;

use crate::block_manager::BlockManagerConfig;
use crate::vault::MasterKeySource;

/// What an operator configures.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory of the database; created if it does not exist. Only one process at a time may use it.
    pub directory: PathBuf,
    /// The cluster that the database must belong to. `None` accepts any; a new database then gets a new cluster id.
    pub cluster: Option<ClusterId>,
    /// The root credentials; `None` for those that were generated at the first start.
    pub root_credentials: Option<RootCredentials>,
    /// The key that seals secrets; by default in `master.key` in the directory, which is in no copy of the database alone.
    pub master_key: MasterKeySource,
    /// Placement, leases, liveness, repair and garbage.
    pub blocks: BlockManagerConfig,
    /// The limits of the listener.
    pub limits: Limits,
    /// TLS of the listener; `None` for plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
}

/// The file of the data directory with the master key.
pub const MASTER_KEY_FILE: &str = "master.key";

/// Upper limit of connections. Every datanode keeps one between its heartbeats: this suffices for ten thousand
/// datanodes, and gateways beside them.
const CONNECTIONS_MAX: usize = 16_384;

impl Config {
    /// The defaults, with data in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self {
            master_key: MasterKeySource::File(directory.join(MASTER_KEY_FILE)),
            directory,
            cluster: None,
            root_credentials: None,
            blocks: BlockManagerConfig::default(),
            limits: Limits { connections_max: CONNECTIONS_MAX, ..Limits::internal() },
            tls: None,
        }
    }
}

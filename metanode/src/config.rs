//! The configuration of a metanode.

use std::path::PathBuf;
use std::sync::Arc;

use cairn_listener::Limits;
use cairn_listener::tls::ServerConfig;
use cairn_protocol::id::ClusterId;
use cairn_protocol::metadata::RootCredentials;

use crate::block_manager::BlockManagerConfig;

/// What an operator configures.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory of the database; created if it does not exist. Only one process at a time may use it.
    pub directory: PathBuf,
    /// The cluster that the database must belong to. `None` accepts any; a new database then gets a new cluster id.
    pub cluster: Option<ClusterId>,
    /// The root credentials; `None` for those that were generated at the first start.
    pub root_credentials: Option<RootCredentials>,
    /// Placement, leases, liveness, repair and garbage.
    pub blocks: BlockManagerConfig,
    /// The limits of the listener.
    pub limits: Limits,
    /// TLS of the listener; `None` for plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
}

/// Upper limit of connections. Every datanode keeps one between its heartbeats: this suffices for ten thousand
/// datanodes, and gateways beside them.
const CONNECTIONS_MAX: usize = 16_384;

impl Config {
    /// The defaults, with data in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            cluster: None,
            root_credentials: None,
            blocks: BlockManagerConfig::default(),
            limits: Limits { connections_max: CONNECTIONS_MAX, ..Limits::internal() },
            tls: None,
        }
    }
}

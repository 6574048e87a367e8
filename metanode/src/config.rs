//! What an operator decides about a metanode.

use std::path::PathBuf;
use std::sync::Arc;

use cairn_listener::Limits;
use cairn_listener::tls::ServerConfig;
use cairn_protocol::id::ClusterId;
use cairn_protocol::metadata::RootCredentials;

use crate::block_manager::BlockManagerConfig;

/// The configuration of a metanode.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the database is kept; made if it is not there. One process at a time uses it.
    pub directory: PathBuf,
    /// The cluster that the database must be of. Without, whichever it is of; a new database is that
    /// of a new cluster.
    pub cluster: Option<ClusterId>,
    /// The root credentials. Without, those that were made at the first start.
    pub root_credentials: Option<RootCredentials>,
    /// Placement, leases, liveness, repair and garbage.
    pub blocks: BlockManagerConfig,
    /// What the listener grants its clients.
    pub limits: Limits,
    /// TLS of the listener; without, it speaks plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
}

/// Every datanode keeps a connection between its heartbeats: ten thousand of them, and gateways beside them.
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

//! Finds the block service of a node: a function call within this process, HTTP to all others.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{BlockConnector, BlockService, HttpBlockClient};
use crate::id::NodeId;
use crate::rpc::ClientError;
use crate::tls::Identity;

/// Reaches datanodes of this process by a function call, and all others over HTTP.
#[derive(Clone)]
pub struct Connector {
    http: reqwest::Client,
    local: Arc<RwLock<HashMap<NodeId, Arc<dyn BlockService>>>>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    /// A connector without local datanodes. It presents this identity to datanodes whose address is `https://…`.
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn new(identity: &Identity) -> Result<Self, ClientError> {
        Ok(Self { http: HttpBlockClient::pool(identity)?, local: Arc::default() })
    }

    /// Makes later calls for `node` call `service` directly.
    pub fn add_local(&self, node: NodeId, service: Arc<dyn BlockService>) {
        self.local.write().unwrap_or_else(PoisonError::into_inner).insert(node, service);
    }
}

impl BlockConnector for Connector {
    fn connect(&self, node: NodeId, address: &str) -> Arc<dyn BlockService> {
        let local = self.local.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned();
        local.unwrap_or_else(|| Arc::new(HttpBlockClient::new(self.http.clone(), address)))
    }
}

//! The state that all requests share.

use std::sync::Arc;

use cairn_protocol::block::BlockConnector;
use cairn_protocol::env::Env;
use cairn_protocol::iam::Iam;
use cairn_protocol::metadata::Metadata;
use cairn_protocol::secret::ClusterSecret;

use crate::access::Authority;
use crate::client_limits::RequestsInFlight;
use crate::config::Config;
use crate::credentials::Keyring;
use crate::data::DataPath;
use crate::oidc::ProviderKeys;

/// A gateway: everything that requests need. It keeps no state between requests that a client could notice.
pub struct Gateway {
    /// Settings.
    pub config: Arc<Config>,
    /// Namespace and data path, which operations get by authorisation alone.
    pub(crate) authority: Authority,
    /// Accounts, users, groups, roles, access keys and policies.
    pub(crate) iam: Arc<dyn Iam>,
    /// The keys of OpenID Connect providers.
    pub(crate) provider_keys: ProviderKeys,
    /// Time, randomness and ids.
    pub env: Env,
    /// Requests in flight.
    pub requests_in_flight: RequestsInFlight,
    /// The secrets of access keys.
    pub keyring: Keyring,
}

impl Gateway {
    /// Makes a gateway over these services. `secret` signs its block tokens.
    pub fn new(
        config: Config,
        metadata: Arc<dyn Metadata>,
        iam: Arc<dyn Iam>,
        blocks: Arc<dyn BlockConnector>,
        secret: ClusterSecret,
        env: Env,
    ) -> Self {
        let data = DataPath::new(metadata.clone(), blocks, secret, env.clone(), &config.data);
        let keyring = Keyring::new(metadata.clone(), env.clone());
        let provider_keys = ProviderKeys::new(env.clone());
        let config = Arc::new(config);
        let authority = Authority::new(config.clone(), metadata, data, keyring.clone(), env.clone());
        let requests_in_flight = RequestsInFlight::default();
        Self { config, authority, iam, provider_keys, env, requests_in_flight, keyring }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("config", &self.config).finish_non_exhaustive()
    }
}

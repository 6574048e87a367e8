//! The life of a gateway's listener, from start to shutdown.

use std::sync::Arc;
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use cairn_listener::{Accept, Drained, Limits};
use cairn_protocol::metadata::{MetadataError, RootCredentials};
use cairn_protocol::warn_peer;
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::gateway::Gateway;
use crate::service::S3Service;

/// The pause between two attempts to reach a metanode that does not answer.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Serves S3 on the connections that `accept` yields until `shutdown`, then finishes the requests in flight.
///
/// The credentials come from the metanode. Until it answers ([`Keyring::filled`](crate::credentials::Keyring::filled)),
/// every request gets 503 `ServiceUnavailable`, and so does the health page; the log has the reason.
pub async fn serve<A: Accept>(
    accept: A,
    gateway: Gateway,
    limits: Limits,
    tls: Option<Arc<ServerConfig>>,
    shutdown: CancellationToken,
) -> Drained {
    let env = gateway.env.clone();
    let gateway = Arc::new(gateway);
    let asking = gateway.clone();
    let ask = async move {
        if let Ok(credentials) = root_credentials(&asking).await {
            asking.keyring.begin(credentials);
        }
    };
    let _asks = AbortOnDropHandle::new(tokio::spawn(ask));
    cairn_listener::serve(accept, S3Service::new(gateway), limits, tls, env, shutdown).await
}

/// Asks until the metanode returns the credentials; any error may pass.
async fn root_credentials(gateway: &Gateway) -> Result<RootCredentials, MetadataError> {
    let attempt = || gateway.authority.root_credentials();
    attempt
        .retry(ConstantBuilder::new().with_delay(RETRY_DELAY).without_max_times())
        .sleep(gateway.env.sleeper())
        .notify(|error, _| warn_peer!(%error, "the metanode does not return the credentials yet"))
        .await
}

//! What is known of a sender besides its identity.

use std::net::IpAddr;

use cairn_listener::TlsVersion;
use cairn_protocol::env::Timestamp;

/// What the connection and the head say about a sender.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The address of the other end of the connection.
    pub(crate) address: IpAddr,
    /// The version of TLS of the connection; `None` if it is not encrypted.
    pub(crate) tls: Option<TlsVersion>,
    /// The header `User-Agent`.
    pub(crate) user_agent: Option<String>,
    /// The header `Referer`.
    pub(crate) referer: Option<String>,
    /// The region of the gateway.
    pub(crate) region: String,
    /// When the request came.
    pub(crate) time: Timestamp,
}

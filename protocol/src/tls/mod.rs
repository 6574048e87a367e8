//! Mutual TLS between the parts of a cluster.
//!
//! | module | what is there |
//! |---|---|
//! | `authority` | the cluster's own certificate authority, which comes from its secret |
//! | `files` | the operator's certificates, read again when they change |
//! | `identity` | the certificate of a part and the authority that it trusts, renewed while it runs |
//! | `trust` | the check of certificates |
//! | `verify` | rustls's hooks, which read the identity at each handshake |
//! | `config` | the TLS settings of listeners and clients |
//! | `explain` | a sentence about a failed handshake |
//!
//! Both ends present a certificate, and each accepts only one that the cluster's authority has signed for the cluster's name.
//! The name is not that of a host, because the addresses of parts are not known beforehand (containers, names of a compose
//! file, `127.0.0.1` for a health check). It only matters that the other end belongs to the cluster. Only TLS 1.3 is used,
//! because both ends are Cairn's. Sessions are not resumed: a resumed session would not check the certificate again, and
//! connections are kept for many calls anyway.

mod authority;
mod config;
mod explain;
mod files;
mod identity;
mod trust;
mod verify;

#[cfg(test)]
#[expect(unreachable_pub, reason = "a service that the macro makes is public")]
mod tests;

pub use authority::{Authority, Leaf};
pub use config::probe_config;
pub use explain::explain;
pub use files::IdentityFiles;
pub use identity::Identity;

use std::path::PathBuf;

use thiserror::Error;

/// The name in the certificates of a cluster's own authority, and in an operator's unless another one is configured.
pub const CLUSTER_NAME: &str = "cairn.internal";

/// Why TLS between the parts cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error.
        #[source]
        error: std::io::Error,
    },
    /// A file does not contain the expected item.
    #[error("{} holds no readable {what} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The expected item: a certificate or a private key.
        what: &'static str,
    },
    /// The configured name is not valid in a certificate.
    #[error("{0} is no name that a certificate can be for; write it as cairn.example.com")]
    Name(String),
    /// The certificate is not for the cluster's name, or does not come from its authority.
    #[error("the certificate cannot be used: {0}")]
    Certificate(#[source] rustls::Error),
    /// A certificate could not be made.
    #[error("no certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
    /// rustls refuses the settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    /// The authority's certificates cannot be used, so no other certificate could be trusted.
    #[error("the authority's certificates cannot be used: {0}")]
    Authority(#[from] rustls::server::VerifierBuilderError),
}

//! TLS: a certificate chain and a key from PEM, and ALPN for HTTP/2 and HTTP/1.1.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// Why a certificate and a key cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The certificate file has no certificate in PEM, or a broken one.
    #[error("the certificate file holds no readable certificate in PEM: {0}")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// There is no certificate in the file.
    #[error("the certificate file holds no certificate")]
    NoCertificate,
    /// The key file has no private key in PEM, or a broken one.
    #[error("the key file holds no readable private key in PEM: {0}")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// The two do not belong together, or are of a kind that is not supported.
    #[error("the certificate and the key cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
}

/// A server's TLS from the texts of its certificate chain (its own first) and private key, in PEM.
///
/// # Errors
/// See [`TlsError`].
pub fn server_config(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

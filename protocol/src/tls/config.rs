//! The TLS settings of listeners and clients that present an identity.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use super::TlsError;
use super::identity::Identity;
use super::verify::{AnyServerVerifier, ClusterClientVerifier, ClusterServerVerifier, CurrentCertificate};
use crate::env::Env;

impl Identity {
    /// TLS of a listener that serves only the cluster's parts.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let clock = Arc::new(Clock(self.env().clone()));
        let mut config = ServerConfig::builder_with_details(self.provider().clone(), clock)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(ClusterClientVerifier(self.clone())))
            .with_cert_resolver(Arc::new(CurrentCertificate(self.clone())));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// TLS of a client of the cluster's parts.
    ///
    /// # Errors
    /// When TLS cannot be set up on this machine.
    pub fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let clock = Arc::new(Clock(self.env().clone()));
        let mut config = ClientConfig::builder_with_details(self.provider().clone(), clock)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ClusterServerVerifier(self.clone())))
            .with_client_cert_resolver(Arc::new(CurrentCertificate(self.clone())));
        config.resumption = Resumption::disabled();
        // Certificates are for the cluster's name and not for a host, so the server does not need the name of a host.
        config.enable_sni = false;
        Ok(config)
    }
}

/// The injected clock, by which rustls checks the times of certificates.
#[derive(Debug)]
struct Clock(Env);

impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.now().0)))
    }
}

/// TLS of a client that only checks whether a server is ready. It presents `identity`, if there is one, and accepts any
/// certificate.
///
/// # Errors
/// When TLS cannot be set up on this machine.
pub fn probe_config(identity: Option<&Identity>, env: Env) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(Clock(env)))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServerVerifier(provider)));
    Ok(match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(CurrentCertificate(identity.clone()))),
        None => builder.with_no_client_auth(),
    })
}

//! The check of certificates. rustls checks the chain. The name is checked here, because it is the cluster's and not that of a
//! host.

use std::sync::Arc;

use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, Error};

/// Trusts each certificate that the authority signed for the cluster's name.
pub(super) struct Trust {
    pub(super) servers: Arc<WebPkiServerVerifier>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
    pub(super) name: ServerName<'static>,
}

impl Trust {
    pub(super) fn check_server(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.servers.verify_server_cert(end_entity, intermediates, &self.name, &[], now)
    }

    pub(super) fn check_client(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.clients.verify_client_cert(end_entity, intermediates, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, &self.name)?;
        Ok(verified)
    }

    /// Checks that other parts will accept this part's own certificate at either end.
    pub(super) fn check_own(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let Some((end_entity, intermediates)) = chain.split_first() else {
            return Err(CertificateError::BadEncoding.into());
        };
        self.check_server(end_entity, intermediates, now)?;
        self.check_client(end_entity, intermediates, now)?;
        Ok(())
    }
}

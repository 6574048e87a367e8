//! The certificates of providers: those that the system trusts, and those whose thumbprint the account has configured.
//!
//! Source: IAM User Guide, "Obtain the thumbprint for an OpenID Connect identity provider": a thumbprint is the SHA-1 of the
//! certificate of the authority that signed the provider's, the last one that the provider sends. It counts only for a provider
//! whose certificate the trusted authorities did not sign.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha1::{Digest, Sha1};

/// The settings of TLS with a provider.
pub(super) fn client_config(thumbprints: &[String]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    // A certificate that cannot be read is not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let thumbprints = thumbprints.iter().map(|text| text.to_ascii_lowercase()).collect();
    let verifier =
        ProviderVerifier { trusted: verifier(roots, &provider), thumbprints, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// A verifier with these authorities; `None` if there are none.
fn verifier(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok()
}

#[derive(Debug)]
struct ProviderVerifier {
    /// With the authorities that the system trusts.
    trusted: Option<Arc<WebPkiServerVerifier>>,
    /// In lower case.
    thumbprints: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ProviderVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let by = |verifier: &WebPkiServerVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let outcome = self.trusted.as_deref().map_or_else(|| Err(unknown()), by);
        let Err(error) = outcome else { return outcome };
        let last = intermediates.last().unwrap_or(end_entity);
        if !self.thumbprints.contains(&hex::encode(Sha1::digest(last))) {
            return Err(error);
        }
        let mut roots = RootCertStore::empty();
        roots.add(last.clone().into_owned())?;
        by(&*verifier(roots, &self.provider).ok_or(error)?)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    /// An authority that no system trusts, and a certificate that it has signed.
    fn certificates() -> (CertificateDer<'static>, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let params = CertificateParams::new(vec!["id.example.com".to_owned()]).unwrap();
        let server = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        (authority.der().clone(), server.der().clone())
    }

    fn accepts(thumbprints: Vec<String>, chain: &[CertificateDer<'_>], name: &str) -> bool {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = ProviderVerifier { trusted: None, thumbprints, provider };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).is_ok()
    }

    #[test]
    fn an_authority_is_trusted_by_its_thumbprint_and_for_the_right_name_only() {
        let (authority, server) = certificates();
        let thumbprint = || vec![hex::encode(Sha1::digest(&authority))];
        let chain = [server.clone(), authority.clone()];
        assert!(accepts(thumbprint(), &chain, "id.example.com"));
        assert!(!accepts(thumbprint(), &chain, "other.example.com"));
        assert!(!accepts(Vec::new(), &chain, "id.example.com"));
        assert!(!accepts(vec!["0".repeat(40)], &chain, "id.example.com"));
        // The authority's certificate alone proves nothing: its key must have signed the server's.
        let (_, stranger) = certificates();
        assert!(!accepts(thumbprint(), &[stranger, authority.clone()], "id.example.com"));
    }
}

//! The cluster's own certificate authority.
//!
//! Its key is derived from the cluster's secret (HKDF, RFC 5869). So every part that knows the secret has the authority, and
//! makes its own certificate when it starts; only the secret has to be distributed. The key is of Ed25519, because any 32
//! bytes are such a key, and because its signatures are deterministic: all parts make the same certificate of the authority,
//! byte for byte.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use super::{CLUSTER_NAME, TlsError};
use crate::env::Timestamp;
use crate::secret::ClusterSecret;

/// The purpose for which the key is derived. Another purpose would give another authority.
const PURPOSE: &str = "authority of internal TLS, Ed25519, 1";

/// The first bytes of an Ed25519 key in PKCS #8, before the key's 32 bytes (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Signs the certificates of a cluster's parts.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// A certificate and its key.
pub struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    /// The authority of the cluster that has this secret.
    ///
    /// # Errors
    /// When no certificate can be made on this machine.
    pub fn of_secret(secret: &ClusterSecret) -> Result<Self, TlsError> {
        let key = key_pair(&secret.derive(PURPOSE))?;
        let mut params = CertificateParams::default();
        // The authority is valid as long as the secret. Its name contains no part of the secret, because anyone can see it.
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(4096, 1, 1);
        params.distinguished_name = name("Cairn internal CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    /// The authority's certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for either end of a connection, valid between these times, with the key of this seed.
    ///
    /// # Errors
    /// When no certificate can be made on this machine.
    pub fn issue(&self, seed: &[u8; 32], from: Timestamp, until: Timestamp) -> Result<Leaf, TlsError> {
        let key = key_pair(seed)?;
        let mut params = CertificateParams::new([CLUSTER_NAME.to_owned()])?;
        params.not_before = date(from);
        params.not_after = date(until);
        params.distinguished_name = name("Cairn part");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf { certificate, key })
    }
}

impl Leaf {
    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// The private key in PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

fn key_pair(seed: &[u8; 32]) -> Result<KeyPair, rcgen::Error> {
    let der = [&PKCS8_HEAD[..], seed].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ED25519)
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// The date for a certificate, at most the end of the year 9999, because X.509 has no later date (RFC 5280, section 4.1.2.5).
fn date(at: Timestamp) -> OffsetDateTime {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or_else(|_| date_time_ymd(9999, 12, 31))
}

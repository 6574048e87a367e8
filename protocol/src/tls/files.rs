//! Certificates of the operator's own authority, which are read from files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::TlsError;

/// The paths of the certificates and the key, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The part's certificate, followed by any intermediate ones. It is used at both ends of a connection, so it needs the
    /// extended key usages `serverAuth` and `clientAuth`.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The certificates of the authorities that are trusted.
    pub authority: PathBuf,
    /// The DNS name in the certificates of all parts of the cluster. Other certificates of the same authority are refused.
    pub name: String,
}

/// The parsed contents of the files.
pub(super) struct Loaded {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) name: ServerName<'static>,
}

/// Modification time and length of each file: they change when a file is replaced or written.
pub(super) type Stamp = [Option<(SystemTime, u64)>; 3];

impl IdentityFiles {
    fn all(&self) -> [&PathBuf; 3] {
        [&self.certificate, &self.key, &self.authority]
    }

    /// The stamps of the files now.
    pub(super) async fn stamp(&self) -> Stamp {
        let mut stamps = [None; 3];
        for (stamp, file) in stamps.iter_mut().zip(self.all()) {
            let metadata = tokio::fs::metadata(file).await;
            *stamp = metadata.ok().and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        }
        stamps
    }

    /// Reads the files. Blocks its thread.
    pub(super) fn load(&self) -> Result<Loaded, TlsError> {
        let name = ServerName::try_from(self.name.clone());
        let name = name.ok().filter(|name| matches!(name, ServerName::DnsName(_)));
        let name = name.ok_or_else(|| TlsError::Name(self.name.clone()))?;
        let no_key = |_| TlsError::Pem { path: self.key.clone(), what: "private key" };
        Ok(Loaded {
            chain: certificates(&self.certificate)?,
            key: PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(no_key)?,
            authorities: certificates(&self.authority)?,
            name,
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = || TlsError::Pem { path: path.to_owned(), what: "certificate" };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(wrong)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Read { path: path.to_owned(), error })
}

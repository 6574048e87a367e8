//! The identity of a part: the certificate that it presents, and the authority that it trusts. It is made from the secret or
//! read from the operator's files, and renewed while the part runs.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use super::authority::Authority;
use super::files::{IdentityFiles, Loaded};
use super::trust::Trust;
use super::{CLUSTER_NAME, TlsError};
use crate::env::{Env, Timestamp};
use crate::secret::{CLOCK_SKEW_MAX, ClusterSecret};

/// Validity of a certificate that a part makes for itself. The part renews it after half of this time, so that it never expires
/// during a handshake.
const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Interval of the checks whether the operator's files have changed.
const FILES_INTERVAL: Duration = Duration::from_secs(2);

/// The certificate that a part presents, and the authority that it trusts. Clones share it with its renewals.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    source: Source,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CurrentIdentity>>,
}

enum Source {
    Secret(Box<Authority>),
    Files(IdentityFiles),
}

/// The identity as it is now.
pub(super) struct CurrentIdentity {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) trust: Trust,
    /// When to make the next certificate; `None` if the operator provides it.
    renew_at: Option<Timestamp>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source: &dyn fmt::Debug = match &self.inner.source {
            Source::Secret(_) => &"of the cluster's secret",
            Source::Files(files) => files,
        };
        f.debug_tuple("Identity").field(source).finish()
    }
}

impl Identity {
    /// An identity of the authority that comes from the secret. It renews itself.
    ///
    /// # Errors
    /// When no certificate can be made on this machine.
    pub fn of_secret(secret: &ClusterSecret, env: Env) -> Result<Self, TlsError> {
        Self::new(Source::Secret(Box::new(Authority::of_secret(secret)?)), env)
    }

    /// An identity from the operator's files. They are read again while [`keep_current`](Self::keep_current) runs. Blocks its
    /// thread.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn of_files(files: IdentityFiles, env: Env) -> Result<Self, TlsError> {
        Self::new(Source::Files(files), env)
    }

    fn new(source: Source, env: Env) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let current = RwLock::new(Arc::new(make(&source, &env, &provider)?));
        Ok(Self { inner: Arc::new(Inner { env, source, provider, current }) })
    }

    /// The current certificate and authority. This renews a certificate from the secret when half of its lifetime is over.
    pub(super) fn current(&self) -> Arc<CurrentIdentity> {
        let inner = &*self.inner;
        let current = inner.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if current.renew_at.is_none_or(|at| inner.env.now() < at) {
            return current;
        }
        match make(&inner.source, &inner.env, &inner.provider) {
            Ok(renewed) => self.replace(renewed),
            Err(error) => {
                crate::warn_self!(%error, "the certificate for internal TLS cannot be renewed");
                current
            }
        }
    }

    fn replace(&self, renewed: CurrentIdentity) -> Arc<CurrentIdentity> {
        let renewed = Arc::new(renewed);
        *self.inner.current.write().unwrap_or_else(PoisonError::into_inner) = renewed.clone();
        renewed
    }

    /// Reads the operator's certificates again whenever they change, until `shutdown`. The part keeps the old
    /// ones as long as the new ones cannot be used, because the files may be replaced one after another.
    pub async fn keep_current(&self, shutdown: CancellationToken) {
        let Source::Files(files) = &self.inner.source else { return };
        let mut seen = files.stamp().await;
        // The files may have changed since they were read for the first time.
        self.reload().await;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.inner.env.sleep(FILES_INTERVAL) => {}
            }
            let stamp = files.stamp().await;
            if stamp != seen {
                seen = stamp;
                self.reload().await;
            }
        }
    }

    async fn reload(&self) {
        let identity = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let Inner { env, source, provider, .. } = &*identity.inner;
            make(source, env, provider)
        });
        match made.await {
            Ok(Ok(renewed)) => {
                let current = self.inner.current.read().unwrap_or_else(PoisonError::into_inner).clone();
                if current.key.cert != renewed.key.cert {
                    tracing::info!("another certificate is used for internal TLS from now on");
                }
                self.replace(renewed);
            }
            Ok(Err(error)) => {
                crate::warn_peer!(%error, "the new certificates for internal TLS cannot be used; those in use are kept");
            }
            // The runtime is shutting down.
            Err(_) => {}
        }
    }

    /// Does the same as [`keep_current`](Self::keep_current) when a file has changed.
    #[cfg(test)]
    pub(super) async fn reload_for_test(&self) {
        self.reload().await;
    }

    pub(super) fn env(&self) -> &Env {
        &self.inner.env
    }

    pub(super) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.inner.provider
    }
}

/// Makes the certificate from the secret, or reads the operator's.
fn make(source: &Source, env: &Env, provider: &Arc<CryptoProvider>) -> Result<CurrentIdentity, TlsError> {
    match source {
        Source::Secret(authority) => {
            let now = env.now();
            let until = now.after(LEAF_LIFETIME);
            // The certificate is valid from a time in the past, because clocks of other nodes may be behind.
            let leaf = authority.issue(&env.random_bytes(), now.before(2 * CLOCK_SKEW_MAX), until)?;
            let renew_at = Some(now.after(LEAF_LIFETIME / 2));
            let chain = vec![leaf.certificate().clone()];
            let authorities = vec![authority.certificate().clone()];
            let name =
                ServerName::try_from(CLUSTER_NAME).map_err(|_| TlsError::Name(CLUSTER_NAME.to_owned()))?;
            assemble(chain, leaf.key(), authorities, name, renew_at, provider)
        }
        Source::Files(files) => {
            let Loaded { chain, key, authorities, name } = files.load()?;
            let current = assemble(chain, key, authorities, name, None, provider)?;
            // Without this check, a bad certificate would look like a fault of the nodes that refuse it.
            let at = UnixTime::since_unix_epoch(Duration::from_millis(env.now().0));
            current.trust.check_own(&current.key.cert, at).map_err(TlsError::Certificate)?;
            Ok(current)
        }
    }
}

fn assemble(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authorities: Vec<CertificateDer<'static>>,
    name: ServerName<'static>,
    renew_at: Option<Timestamp>,
    provider: &Arc<CryptoProvider>,
) -> Result<CurrentIdentity, TlsError> {
    let key = CertifiedKey::from_der(chain, key, provider).map_err(TlsError::Certificate)?;
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority)?;
    }
    let roots = Arc::new(roots);
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
    let servers =
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build()?;
    Ok(CurrentIdentity { key: Arc::new(key), trust: Trust { servers, clients, name }, renew_at })
}

//! Keeps retired versions readable while gateways read them.

use cairn_protocol::metadata::{MetadataError, RENEW_READS_MAX, RenewReads};

use crate::namespace::{Namespace, malformed};
use crate::store;

impl Namespace {
    /// Sets the time of retirement to now for versions that were retired or moved and are still being read, so that the
    /// sweep comes a grace period later. This needs no table of readers, survives a restart, and ends by itself when a
    /// gateway dies. Most versions that are read for long are current; for those nothing is written.
    pub(in crate::namespace) async fn renew_reads(&self, request: RenewReads) -> Result<(), MetadataError> {
        if request.versions.len() > RENEW_READS_MAX {
            return Err(malformed(format!("at most {RENEW_READS_MAX} versions are renewed at once")));
        }
        let mut reader = self.store.read().await?;
        let mut retired = Vec::new();
        for version in request.versions {
            if store::retired::is_kept(&mut reader, version).await? {
                retired.push(version);
            }
        }
        drop(reader);
        if retired.is_empty() {
            return Ok(());
        }
        let env = self.env.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let now = env.now();
                    for version in retired {
                        store::retired::postpone(tx, version, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

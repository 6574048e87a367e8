//! The root credentials of the cluster: made at the first start, and sealed.

use cairn_protocol::env::Env;
use cairn_protocol::metadata::RootCredentials;

use super::random;
use crate::store::settings::{self, Setting};
use crate::store::{Store, StoreError};
use crate::vault::{MasterKeyError, Vault};

/// Why there are no root credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They cannot be opened.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
}

/// The root credentials in the database, and whether this start made them.
pub(crate) async fn load(
    store: &Store,
    vault: &Vault,
    env: &Env,
) -> Result<(RootCredentials, bool), RootError> {
    // Only a start that changes something writes, so that a metanode can start while its disk is full.
    if let Some(root) = seal_stored(store, vault).await? {
        return Ok((root, false));
    }
    let root =
        RootCredentials { access_key: random::root_access_key(env), secret_key: random::secret_key(env) };
    let sealed = vault.seal_root(&root).ok_or(MasterKeyError::Damaged)?;
    store
        .write(move |tx| {
            Box::pin(async move { settings::find_or_insert(tx, Setting::RootCredentials, &sealed).await })
        })
        .await?;
    Ok((root, true))
}

/// The root credentials in the database, if it has any. Those that an earlier release stored as they are become sealed.
pub(crate) async fn seal_stored(store: &Store, vault: &Vault) -> Result<Option<RootCredentials>, RootError> {
    let found = settings::find(&mut *store.read().await?, Setting::RootCredentials).await?;
    let Some(found) = found else { return Ok(None) };
    let (root, is_sealed) = vault.unseal_root(&found).ok_or(MasterKeyError::Damaged)?;
    if !is_sealed {
        let sealed = vault.seal_root(&root).ok_or(MasterKeyError::Damaged)?;
        store
            .write(move |tx| {
                Box::pin(async move { settings::replace(tx, Setting::RootCredentials, &sealed).await })
            })
            .await?;
    }
    Ok(Some(root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{MasterKey, MasterKeySource};

    /// Releases before wrote the root credentials as they are. The first start of this one seals them, and nothing of the secret
    /// is left in the database.
    #[tokio::test]
    async fn credentials_of_an_earlier_release_become_sealed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("metanode.db");
        let env = Env::system();
        let before = RootCredentials {
            access_key: "CAIRN0123456789ABCDE".to_owned(),
            secret_key: "ThisSecretWasStoredAsItIs0123456789abcdef".to_owned(),
        };
        let store = Store::open(&file, &env).await.unwrap();
        let row = serde_json::to_string(&before).unwrap();
        store
            .write(move |tx| {
                Box::pin(async move { settings::find_or_insert(tx, Setting::RootCredentials, &row).await })
            })
            .await
            .unwrap();
        store.close().await;
        assert!(has(&file, &before.secret_key));

        let key = MasterKey::parse(&"7".repeat(64)).unwrap();
        let vault = Vault::open(&MasterKeySource::Given(key), None, &env).unwrap();
        let store = Store::open(&file, &env).await.unwrap();
        assert_eq!(load(&store, &vault, &env).await.unwrap(), (before.clone(), false));
        let stored =
            settings::find(&mut store.read().await.unwrap(), Setting::RootCredentials).await.unwrap();
        assert!(stored.unwrap().contains("sealed"));
        assert_eq!(load(&store, &vault, &env).await.unwrap(), (before.clone(), false));
        store.close().await;
        assert!(!has(&file, &before.secret_key));
        assert!(has(&file, &before.access_key));
    }

    fn has(file: &std::path::Path, text: &str) -> bool {
        std::fs::read(file).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

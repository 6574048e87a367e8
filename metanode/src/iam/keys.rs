//! Access keys.

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::iam::{
    AccessKeyEntry, CreateAccessKey, DeleteAccessKey, EntityKind, GivenKey, HolderKind, IamError, KeyOwner,
    NewAccessKey, RotateAccessKey, SetAccessKeyStatus,
};
use futures_util::FutureExt;

use super::{Effect, Identities, account, exists, holders, invalid, no_such, random};
use crate::store::iam::keys::{self, StoredKey};
use crate::store::iam::{AccountNumber, HolderId};
use crate::store::{Connection, StoreError};
use crate::vault::Vault;

/// Upper limit of the keys of a user: one in use, and one that replaces it.
const KEYS_MAX: usize = 2;

/// The numbers of the account and the user of a key. No user means the root user.
type Owner = (AccountNumber, Option<HolderId>);

/// Id and secret of a new key.
pub(super) fn fresh(env: &Env) -> GivenKey {
    GivenKey { access_key: random::access_key(env), secret_key: random::secret_key(env) }
}

/// Creates a key, and returns its id.
pub(super) async fn make(
    tx: &mut Connection,
    owner: Owner,
    key: GivenKey,
    vault: &Vault,
    now: Timestamp,
) -> Result<String, IamError> {
    if keys::list(tx, owner).await?.len() >= KEYS_MAX {
        let reason = format!("a user has up to {KEYS_MAX} access keys; delete one first");
        return Err(IamError::LimitExceeded { reason });
    }
    let sealed = vault.seal(&key.access_key, &key.secret_key).ok_or(IamError::Internal)?;
    if !keys::insert(tx, owner, &key.access_key, &sealed, now).await? {
        return Err(exists(EntityKind::AccessKey, &key.access_key));
    }
    Ok(key.access_key)
}

impl Identities {
    pub(super) async fn create_access_key(&self, request: CreateAccessKey) -> Result<NewAccessKey, IamError> {
        let CreateAccessKey { owner, given, mutation } = request;
        if let Some(given) = &given {
            check(given)?;
            if given.access_key == self.root.access_key {
                return Err(exists(EntityKind::AccessKey, &given.access_key));
            }
        }
        let (env, vault, of) = (self.env.clone(), self.vault.clone(), owner.clone());
        let made = self.change(mutation, Effect::Adds, move |tx, now| {
            async move {
                let owner = find_owner(tx, &of).await?;
                make(tx, owner, given.unwrap_or_else(|| fresh(&env)), &vault, now).await
            }
            .boxed()
        });
        let access_key = made.await?;
        self.reveal_key(owner, &access_key).await
    }

    pub(super) async fn rotate_access_key(&self, request: RotateAccessKey) -> Result<NewAccessKey, IamError> {
        let RotateAccessKey { owner, deactivate, mutation } = request;
        let effect = if deactivate.is_some() { Effect::MayTakeAway } else { Effect::Adds };
        let (env, vault, of) = (self.env.clone(), self.vault.clone(), owner.clone());
        let made = self.change(mutation, effect, move |tx, now| {
            async move {
                let owner = find_owner(tx, &of).await?;
                if let Some(old) = deactivate {
                    find_key(tx, owner, &old).await?;
                    keys::set_active(tx, &old, false).await?;
                }
                make(tx, owner, fresh(&env), &vault, now).await
            }
            .boxed()
        });
        let access_key = made.await?;
        self.reveal_key(owner, &access_key).await
    }

    /// A key that this call, or the one that it repeats, has just created.
    pub(super) async fn reveal_key(
        &self,
        owner: KeyOwner,
        access_key: &str,
    ) -> Result<NewAccessKey, IamError> {
        let mut reader = self.store.read().await?;
        let found = find_owner(&mut reader, &owner).await?;
        let key = find_key(&mut reader, found, access_key).await?;
        let secret_key = self.vault.unseal(access_key, &key.sealed);
        let secret_key = secret_key.ok_or(StoreError::Corrupt { column: "sealed" })?;
        Ok(NewAccessKey {
            access_key: key.access_key,
            secret_key,
            user: owner.user,
            created_at: key.created_at,
        })
    }

    pub(super) async fn list_access_keys(&self, request: KeyOwner) -> Result<Vec<AccessKeyEntry>, IamError> {
        let mut reader = self.store.read().await?;
        let owner = find_owner(&mut reader, &request).await?;
        let keys = keys::list(&mut reader, owner).await?;
        Ok(keys.into_iter().map(|key| entry(key, request.user.clone())).collect())
    }

    pub(super) async fn set_access_key_status(
        &self,
        request: SetAccessKeyStatus,
    ) -> Result<AccessKeyEntry, IamError> {
        let SetAccessKeyStatus { owner, access_key, active, mutation } = request;
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let found = find_owner(tx, &owner).await?;
                let key = find_key(tx, found, &access_key).await?;
                keys::set_active(tx, &access_key, active).await?;
                Ok(entry(StoredKey { is_active: active, ..key }, owner.user))
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn delete_access_key(&self, request: DeleteAccessKey) -> Result<(), IamError> {
        let DeleteAccessKey { owner, access_key, mutation } = request;
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let owner = find_owner(tx, &owner).await?;
                find_key(tx, owner, &access_key).await?;
                Ok(keys::delete(tx, &access_key).await?)
            }
            .boxed()
        })
        .await
    }
}

async fn find_owner(connection: &mut Connection, owner: &KeyOwner) -> Result<Owner, IamError> {
    let number = account(connection, &owner.account).await?;
    let user = match &owner.user {
        None => None,
        Some(name) => Some(holders::find_in(connection, number, HolderKind::User, name).await?.holder),
    };
    Ok((number, user))
}

/// The key of this id, if it is the owner's.
async fn find_key(
    connection: &mut Connection,
    owner: Owner,
    access_key: &str,
) -> Result<StoredKey, IamError> {
    let keys = keys::list(connection, owner).await?;
    let found = keys.into_iter().find(|key| key.access_key == access_key);
    found.ok_or_else(|| no_such(EntityKind::AccessKey, access_key))
}

fn entry(key: StoredKey, user: Option<String>) -> AccessKeyEntry {
    AccessKeyEntry { access_key: key.access_key, user, active: key.is_active, created_at: key.created_at }
}

/// Checks a key that another store made. Its id must be one that signatures can carry.
fn check(key: &GivenKey) -> Result<(), IamError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if !(3..=128).contains(&key.access_key.len()) || !key.access_key.bytes().all(allowed) {
        return Err(invalid("an access key id has 3 to 128 letters, digits, `_`, `-` or `.`"));
    }
    let printable = key.secret_key.bytes().all(|byte| byte.is_ascii_graphic());
    if !(8..=128).contains(&key.secret_key.len()) || !printable {
        return Err(invalid("a secret access key has 8 to 128 printable characters of ASCII"));
    }
    Ok(())
}

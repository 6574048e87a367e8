//! Accounts, users, groups, roles, access keys and policies.
//!
//! | module | contents |
//! |---|---|
//! | `service` | the operations of [`Iam`](cairn_protocol::iam::Iam), one line each |
//! | `accounts`, `users`, `groups`, `roles`, `keys`, `policies`, `versions`, `attachments`, `inline`, `boundaries`, `tags`, `quotas`, `providers` | one file per noun |
//! | `holders` | what users, groups and roles have in common |
//! | `policy_ref` | finding a managed policy by its ARN or name |
//! | `built_in` | the managed policies that every account has |
//! | `principals` | which principals of policies and ACLs exist |
//! | `lookup` | what a request's access key may do, and what a role is |
//! | `sessions` | sessions of STS, and what their access keys may do |
//! | `root` | the root credentials of the cluster |
//! | `rules` | names, paths and sizes: pure functions |
//! | `arns`, `random` | ARNs, and ids and secrets |
//!
//! Every change is one mutation of the store. One that can take access away advances the [access state](crate::access) after the
//! commit and before the answer. No secret is in the outcomes that the store remembers for repetitions: the answer is read
//! from the sealed row.

mod accounts;
mod arns;
mod attachments;
mod boundaries;
mod built_in;
mod groups;
mod holders;
mod inline;
mod keys;
mod lookup;
mod policies;
mod policy_ref;
mod principals;
mod providers;
mod quotas;
mod random;
mod roles;
pub(crate) mod root;
mod rules;
mod service;
mod sessions;
mod tags;
mod users;
mod versions;

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::iam::{EntityKind, IamError, Page};
use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::RootCredentials;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::AccessState;
use crate::store::iam::AccountNumber;
use crate::store::{self, BoxFuture, Connection, Lane, Store};
use crate::vault::Vault;

/// Upper limit of the entries in a page: AWS's.
const PAGE_MAX: u32 = 1000;

/// What a change does to the access of those who have some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// It takes none away.
    Adds,
    /// It may take some away. Attaching a policy is such a change, because the policy may deny.
    MayTakeAway,
}

/// The identities of the cluster, and their policies.
#[derive(Debug)]
pub(crate) struct Identities {
    store: Store,
    env: Env,
    vault: Vault,
    access: AccessState,
    root: RootCredentials,
}

impl Identities {
    /// The identities in this database.
    pub(crate) fn new(
        store: Store,
        env: Env,
        vault: Vault,
        access: AccessState,
        root: RootCredentials,
    ) -> Self {
        Self { store, env, vault, access, root }
    }

    /// The identities in this database, for tests of other modules: nobody has the root credentials.
    #[cfg(test)]
    pub(crate) fn without_root(store: &Store, env: &Env) -> std::sync::Arc<Self> {
        let key = crate::vault::MasterKey::parse(&"0".repeat(64)).unwrap();
        let vault = Vault::open(&crate::vault::MasterKeySource::Given(key), None, env).unwrap();
        let root = RootCredentials { access_key: String::new(), secret_key: String::new() };
        Self::new(store.clone(), env.clone(), vault, AccessState::new(env), root).into()
    }

    /// The root credentials of the cluster.
    pub(crate) fn root(&self) -> &RootCredentials {
        &self.root
    }

    /// Makes a change, unless it was made under this id already; then the outcome is that of the first time.
    async fn change<T, F>(&self, mutation: Option<MutationId>, effect: Effect, work: F) -> Result<T, IamError>
    where
        F: for<'t> FnOnce(&'t mut Connection, Timestamp) -> BoxFuture<'t, Result<T, IamError>>
            + Send
            + 'static,
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let (env, access) = (self.env.clone(), self.access.clone());
        let outcome = self.store.write_then(
            Lane::Client,
            move |tx| {
                Box::pin(async move {
                    if let Some(done) = store::mutations::find(tx, mutation).await? {
                        return Ok(done);
                    }
                    let now = env.now();
                    let done = work(&mut *tx, now).await?;
                    store::mutations::remember(tx, mutation, &done, now).await?;
                    Ok(done)
                })
            },
            move |done| {
                if effect == Effect::MayTakeAway {
                    access.advance();
                }
                done
            },
        );
        let outcome = outcome.await;
        if let Err(IamError::Unavailable { .. } | IamError::Internal) = &outcome {
            // The commit may have happened all the same.
            self.access.advance();
        }
        outcome
    }
}

/// The number of the account of this id.
async fn account(connection: &mut Connection, id: &str) -> Result<AccountNumber, IamError> {
    match store::iam::accounts::find(connection, id).await? {
        Some((number, _)) => Ok(number),
        None => Err(no_such(EntityKind::Account, id)),
    }
}

fn no_such(kind: EntityKind, name: &str) -> IamError {
    IamError::NoSuchEntity { kind, name: name.to_owned() }
}

fn exists(kind: EntityKind, name: &str) -> IamError {
    IamError::EntityAlreadyExists { kind, name: name.to_owned() }
}

fn invalid(reason: impl Into<String>) -> IamError {
    IamError::InvalidInput { reason: reason.into() }
}

/// The number of rows to read for a page of up to `max` entries, and the number of entries.
fn page_size(max: u32) -> (u32, usize) {
    let max = max.clamp(1, PAGE_MAX);
    (max + 1, usize::try_from(max).unwrap_or(usize::MAX))
}

/// The page of rows of which one more was read than it may hold. `mark` is the name of a row for the next request.
fn page<R, T>(mut rows: Vec<R>, size: usize, mark: impl Fn(&R) -> String, entry: impl Fn(R) -> T) -> Page<T> {
    let more = rows.len() > size;
    rows.truncate(size);
    let next = if more { rows.last().map(mark) } else { None };
    Page { entries: rows.into_iter().map(entry).collect(), next }
}

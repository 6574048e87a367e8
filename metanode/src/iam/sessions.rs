//! Sessions of STS. Nothing is stored of a session: its token holds all of it, sealed with a key that only metanodes have. A
//! session ends when it expires, or when its role or user is deleted; its policies are those of the role or user now.

use cairn_protocol::env::Timestamp;
use cairn_protocol::iam::{
    EntityKind, HolderKind, HolderTags, IamError, NewSession, OpenSession, SESSION_LENGTH_S_MAX,
    SESSION_LENGTH_S_MIN, SessionOf,
};
use cairn_protocol::metadata::{AccessKey, Identity, IdentityPolicies, MetadataError, Session};
use serde::{Deserialize, Serialize};

use super::lookup::{identity_policies, managed_document};
use super::policy_ref::{self, PolicyAccount};
use super::{Identities, account, invalid, no_such, random, rules};
use crate::store::Connection;
use crate::store::iam::holders::{self, Holder};
use crate::store::iam::{AccountNumber, accounts};

/// AWS: the policies that are passed to a session have up to 2,048 characters together, ARNs included. They are in the token,
/// which travels in a header of every request.
const POLICIES_MAX: usize = 2048;

/// Upper limit of the managed policies that are passed to a session (STS API Reference, "AssumeRole").
const POLICY_ARNS_MAX: usize = 10;

/// What a token holds.
#[derive(Serialize, Deserialize)]
struct Contents {
    account: String,
    of: SessionOf,
    secret: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
    policy: Option<String>,
    policy_arns: Vec<String>,
}

impl Identities {
    pub(super) async fn open_session(&self, request: OpenSession) -> Result<NewSession, IamError> {
        check(&request)?;
        let OpenSession { account: id, of, length_s, policy, policy_arns } = request;
        let mut reader = self.store.read().await?;
        let number = account(&mut reader, &id).await?;
        if let Some((kind, holder)) = holder_of(&of) {
            let found = holders::find_by_id(&mut reader, number, kind, holder).await?;
            found.ok_or_else(|| no_such(kind.into(), holder))?;
        }
        for arn in &policy_arns {
            if !arn.starts_with("arn:") {
                return Err(no_such(EntityKind::Policy, arn));
            }
            policy_ref::find(&mut reader, PolicyAccount { number, id: &id }, arn).await?;
        }
        let (access_key, secret) = (random::session_key(&self.env), random::secret_key(&self.env));
        let issued_at = self.env.now();
        let expires_at = issued_at.after(std::time::Duration::from_secs(length_s.into()));
        let contents =
            Contents { account: id, of, secret: secret.clone(), issued_at, expires_at, policy, policy_arns };
        let contents = serde_json::to_vec(&contents).map_err(|_| IamError::Internal)?;
        let token = self.vault.seal_token(&access_key, &contents).ok_or(IamError::Internal)?;
        Ok(NewSession { access_key, secret_key: secret, token, expires_at })
    }

    /// The access key of the session of this token; `None` if the token is not one of this access key, or what the session
    /// needs is gone: its account, its role or user, or a policy that was passed to it.
    ///
    /// # Errors
    /// `ExpiredToken`, and those of the database.
    pub(super) async fn find_session(
        &self,
        access_key: &str,
        token: &str,
    ) -> Result<Option<AccessKey>, MetadataError> {
        // The epoch is read before the rows: see `AccessState`.
        let epoch = self.access.current();
        let contents = self.vault.open_token(access_key, token);
        let contents: Option<Contents> = contents.and_then(|contents| serde_json::from_slice(&contents).ok());
        let Some(contents) = contents else { return Ok(None) };
        if contents.expires_at <= self.env.now() {
            return Err(MetadataError::ExpiredToken);
        }
        let mut snapshot = self.store.snapshot().await?;
        let Some((number, entry)) = accounts::find(&mut snapshot, &contents.account).await? else {
            return Ok(None);
        };
        let (identity, policies, tags, has_quota) = match holder_of(&contents.of) {
            None => (
                Identity::Root { account: entry.account },
                IdentityPolicies::default(),
                HolderTags::new(),
                false,
            ),
            Some((kind, id)) => {
                let Some(Holder { holder, properties, quota, .. }) =
                    holders::find_by_id(&mut snapshot, number, kind, id).await?
                else {
                    return Ok(None);
                };
                let policies = identity_policies(&mut snapshot, holder, properties.boundary).await?;
                let (account, id) = (entry.account, properties.unique_id);
                let (path, name, tags) = (properties.path, properties.name, properties.tags);
                let identity = match kind {
                    HolderKind::Role => Identity::Role { account, id, path, name },
                    HolderKind::User | HolderKind::Group => Identity::User { account, id, path, name },
                };
                (identity, policies, tags, quota.is_set())
            }
        };
        let Some(passed) = passed_policies(&mut snapshot, number, &contents).await? else { return Ok(None) };
        let (name, provider) = match contents.of {
            SessionOf::Role { name, provider, .. } => (Some(name), provider),
            SessionOf::Root | SessionOf::User { .. } => (None, None),
        };
        let (issued_at, expires_at) = (contents.issued_at, contents.expires_at);
        let session = Some(Session { name, policies: passed, provider, issued_at, expires_at });
        Ok(Some(AccessKey {
            secret_key: contents.secret,
            identity,
            policies,
            session,
            tags,
            has_quota,
            epoch,
        }))
    }
}

/// The role or user of a session: its kind and its unique id. The root user is none.
fn holder_of(of: &SessionOf) -> Option<(HolderKind, &str)> {
    match of {
        SessionOf::Root => None,
        SessionOf::User { id } => Some((HolderKind::User, id)),
        SessionOf::Role { id, .. } => Some((HolderKind::Role, id)),
    }
}

/// The documents of the policies that were passed to a session; `Some(None)` if none were. `None` if one of them is gone: it is
/// not left out, because it might deny.
async fn passed_policies(
    connection: &mut Connection,
    number: AccountNumber,
    contents: &Contents,
) -> Result<Option<Option<Vec<String>>>, MetadataError> {
    let mut documents: Vec<String> = contents.policy.iter().cloned().collect();
    for arn in &contents.policy_arns {
        let account = PolicyAccount { number, id: &contents.account };
        match policy_ref::find(connection, account, arn).await {
            Ok(found) => documents.push(managed_document(connection, found.policy()).await?),
            Err(IamError::NoSuchEntity { .. }) => return Ok(None),
            Err(IamError::Unavailable { reason }) => return Err(MetadataError::Unavailable { reason }),
            Err(_) => return Err(MetadataError::Internal),
        }
    }
    Ok(Some((!documents.is_empty()).then_some(documents)))
}

fn check(request: &OpenSession) -> Result<(), IamError> {
    if !(SESSION_LENGTH_S_MIN..=SESSION_LENGTH_S_MAX).contains(&request.length_s) {
        let reason = format!("a session lasts {SESSION_LENGTH_S_MIN} to {SESSION_LENGTH_S_MAX} seconds");
        return Err(invalid(reason));
    }
    if request.policy_arns.len() > POLICY_ARNS_MAX {
        return Err(IamError::LimitExceeded {
            reason: format!("up to {POLICY_ARNS_MAX} managed policies can be passed to a session"),
        });
    }
    let length = |text: &String| text.chars().count();
    let policies = request.policy.iter().chain(&request.policy_arns).map(length).sum::<usize>();
    if policies > POLICIES_MAX {
        return Err(IamError::LimitExceeded {
            reason: format!("the policies of a session have up to {POLICIES_MAX} characters together"),
        });
    }
    if let Some(policy) = &request.policy {
        rules::document(policy, POLICIES_MAX)?;
    }
    if let SessionOf::Role { name, .. } = &request.of {
        rules::name(EntityKind::Role, name)?;
    }
    Ok(())
}

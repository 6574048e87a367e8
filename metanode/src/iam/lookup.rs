//! Whom an access key belongs to, what a role is, and what they may do.

use cairn_protocol::iam::{HolderKind, HolderTags};
use cairn_protocol::metadata::{
    AccessKey, AccessKeyRef, Account, FoundRole, Identity, IdentityPolicies, MetadataError, RoleRef,
};

use super::{Identities, built_in};
use crate::store::iam::holders::{self, Holder};
use crate::store::iam::{HolderId, PolicyId, accounts, effective, keys};
use crate::store::{Connection, StoreError};

impl Identities {
    /// An access key that may be used; `None` if there is no such key, it is inactive, or its token is not valid. It takes up to
    /// four statements, and two for each managed policy that was passed to a session.
    ///
    /// # Errors
    /// `ExpiredToken`, and those of the database.
    pub(crate) async fn find_access_key(
        &self,
        request: &AccessKeyRef,
    ) -> Result<Option<AccessKey>, MetadataError> {
        match &request.token {
            Some(token) => self.find_session(&request.access_key, token).await,
            None => Ok(self.find_long_term(&request.access_key).await?),
        }
    }

    async fn find_long_term(&self, access_key: &str) -> Result<Option<AccessKey>, StoreError> {
        // The epoch is read before the rows: see `AccessState`.
        let epoch = self.access.current();
        if access_key == self.root.access_key {
            return Ok(Some(AccessKey {
                secret_key: self.root.secret_key.clone(),
                identity: Identity::Root { account: Account::first() },
                policies: IdentityPolicies::default(),
                session: None,
                tags: HolderTags::new(),
                has_quota: false,
                epoch,
            }));
        }
        let mut snapshot = self.store.snapshot().await?;
        let Some(found) = keys::find_active(&mut snapshot, access_key).await? else { return Ok(None) };
        let policies = match found.holder {
            None => IdentityPolicies::default(),
            Some(holder) => identity_policies(&mut snapshot, holder, found.boundary).await?,
        };
        let secret_key = self.vault.unseal(access_key, &found.sealed);
        let secret_key = secret_key.ok_or(StoreError::Corrupt { column: "sealed" })?;
        let (identity, has_quota) = (found.identity, found.quota.is_set());
        Ok(Some(AccessKey {
            secret_key,
            identity,
            policies,
            session: None,
            tags: found.tags,
            has_quota,
            epoch,
        }))
    }

    /// A role; `None` if there is no such role.
    pub(crate) async fn find_role(&self, request: &RoleRef) -> Result<Option<FoundRole>, StoreError> {
        let epoch = self.access.current();
        let mut snapshot = self.store.snapshot().await?;
        let Some((number, account)) = accounts::find(&mut snapshot, &request.account).await? else {
            return Ok(None);
        };
        let found = match holders::find(&mut snapshot, number, HolderKind::Role, &request.role).await? {
            Some(found) => Some(found),
            None => holders::find_by_id(&mut snapshot, number, HolderKind::Role, &request.role).await?,
        };
        let Some(Holder { holder, properties, .. }) = found else { return Ok(None) };
        let role = properties.role.ok_or(StoreError::Corrupt { column: "trust" })?;
        let policies = identity_policies(&mut snapshot, holder, properties.boundary).await?;
        let identity = Identity::Role {
            account: account.account,
            id: properties.unique_id,
            path: properties.path,
            name: properties.name,
        };
        let (trust, session_s_max) = (role.trust, role.session_s_max);
        Ok(Some(FoundRole { identity, policies, trust, session_s_max, epoch }))
    }
}

/// The policies that apply to a user or role. A policy that cannot be found is an error and not left out, because it might deny.
pub(super) async fn identity_policies(
    connection: &mut Connection,
    holder: HolderId,
    boundary: Option<PolicyId>,
) -> Result<IdentityPolicies, StoreError> {
    let stored = effective::documents(connection, holder).await?;
    let documents = stored.into_iter().map(|(policy, document)| document_of(policy, document));
    let documents = documents.collect::<Result<_, _>>()?;
    let boundary = match boundary {
        None => None,
        Some(policy) => Some(managed_document(connection, policy).await?),
    };
    Ok(IdentityPolicies { documents, boundary })
}

/// The document of a managed policy that applies now.
pub(super) async fn managed_document(
    connection: &mut Connection,
    policy: PolicyId,
) -> Result<String, StoreError> {
    document_of(policy, effective::document(connection, policy).await?)
}

/// The stored document, or that of the policy that is built in.
fn document_of(policy: PolicyId, stored: Option<String>) -> Result<String, StoreError> {
    let built_in = || built_in::by_number(policy).map(|found| found.document.to_owned());
    stored.or_else(built_in).ok_or(StoreError::Corrupt { column: "policy_id" })
}

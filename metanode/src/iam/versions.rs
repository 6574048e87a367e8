//! Versions of managed policies.

use cairn_protocol::env::Timestamp;
use cairn_protocol::iam::{
    ChangePolicyVersion, CreatePolicyVersion, EntityKind, IamError, PolicyRef, PolicyVersion,
    PolicyVersionRef,
};
use futures_util::FutureExt;

use super::policy_ref::{FoundPolicy, PolicyAccount, find};
use super::{Effect, Identities, account, built_in, no_such, rules};
use crate::store::Connection;
use crate::store::iam::policies::{self, Policy, Version};

/// Upper limit of the versions of a policy.
const VERSIONS_MAX: usize = 5;

impl Identities {
    pub(super) async fn create_policy_version(
        &self,
        request: CreatePolicyVersion,
    ) -> Result<PolicyVersion, IamError> {
        let CreatePolicyVersion { policy, document, set_default, mutation } = request;
        rules::document(&document, rules::MANAGED_MAX)?;
        let effect = if set_default { Effect::MayTakeAway } else { Effect::Adds };
        self.change(mutation, effect, move |tx, now| {
            async move {
                let found = own(tx, &policy).await?;
                if policies::versions(tx, found.policy).await?.len() >= VERSIONS_MAX {
                    let reason = format!("a policy has up to {VERSIONS_MAX} versions; delete one first");
                    return Err(IamError::LimitExceeded { reason });
                }
                let version = policies::add_version(tx, found.policy, &document, now).await?;
                if set_default {
                    policies::set_default(tx, found.policy, version, now).await?;
                }
                Ok(PolicyVersion { version, is_default: set_default, created_at: now, document: None })
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn get_policy_version(
        &self,
        request: PolicyVersionRef,
    ) -> Result<PolicyVersion, IamError> {
        let wanted = request.version;
        let versions = self.versions(request.policy).await?;
        let found = versions.into_iter().find(|version| match wanted {
            Some(number) => version.version == number,
            None => version.is_default,
        });
        found.ok_or_else(|| no_such_version(wanted.unwrap_or_default()))
    }

    pub(super) async fn list_policy_versions(
        &self,
        request: PolicyRef,
    ) -> Result<Vec<PolicyVersion>, IamError> {
        let versions = self.versions(request).await?;
        Ok(versions.into_iter().map(|version| PolicyVersion { document: None, ..version }).collect())
    }

    async fn versions(&self, request: PolicyRef) -> Result<Vec<PolicyVersion>, IamError> {
        let mut snapshot = self.store.snapshot().await?;
        let number = account(&mut snapshot, &request.account).await?;
        let of = PolicyAccount { number, id: &request.account };
        match find(&mut snapshot, of, &request.policy).await? {
            FoundPolicy::BuiltIn(found) => Ok(vec![PolicyVersion {
                version: built_in::VERSION,
                is_default: true,
                created_at: Timestamp(0),
                document: Some(found.document.to_owned()),
            }]),
            FoundPolicy::Own(policy) => {
                let versions = policies::versions(&mut snapshot, policy.policy).await?;
                Ok(versions.into_iter().map(|version| entry(&policy, version)).collect())
            }
        }
    }

    pub(super) async fn set_default_policy_version(
        &self,
        request: ChangePolicyVersion,
    ) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, now| {
            async move {
                let policy = of_version(tx, &request).await?;
                Ok(policies::set_default(tx, policy.policy, request.version, now).await?)
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn delete_policy_version(&self, request: ChangePolicyVersion) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let policy = of_version(tx, &request).await?;
                if policy.default_version == request.version {
                    let reason = format!("v{} is the default version of the policy", request.version);
                    return Err(IamError::DeleteConflict { reason });
                }
                Ok(policies::delete_version(tx, policy.policy, request.version).await?)
            }
            .boxed()
        })
        .await
    }
}

/// The policy, if it can be changed.
async fn own(connection: &mut Connection, policy: &PolicyRef) -> Result<Policy, IamError> {
    let number = account(connection, &policy.account).await?;
    find(connection, PolicyAccount { number, id: &policy.account }, &policy.policy).await?.own()
}

/// The policy, if it can be changed and has this version.
async fn of_version(connection: &mut Connection, request: &ChangePolicyVersion) -> Result<Policy, IamError> {
    let policy = own(connection, &request.policy).await?;
    let versions = policies::versions(connection, policy.policy).await?;
    if !versions.iter().any(|version| version.version == request.version) {
        return Err(no_such_version(request.version));
    }
    Ok(policy)
}

fn no_such_version(version: u32) -> IamError {
    no_such(EntityKind::PolicyVersion, &format!("v{version}"))
}

fn entry(policy: &Policy, version: Version) -> PolicyVersion {
    PolicyVersion {
        version: version.version,
        is_default: version.version == policy.default_version,
        created_at: version.created_at,
        document: Some(version.document),
    }
}

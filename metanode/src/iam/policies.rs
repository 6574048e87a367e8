//! Managed policies.

use cairn_protocol::iam::{
    CreatePolicy, DeletePolicy, EntityKind, IamError, ListPolicies, ManagedPolicy, Page, PolicyRef,
    PolicyScope,
};
use futures_util::FutureExt;

use super::policy_ref::{FoundPolicy, PolicyAccount, arn, find};
use super::{Effect, Identities, account, built_in, exists, no_such, page, page_size, random, rules};
use crate::store::Connection;
use crate::store::iam::policies::{self, NewPolicy, Policy};
use crate::store::iam::{AccountNumber, attachments};

impl Identities {
    pub(super) async fn create_policy(&self, request: CreatePolicy) -> Result<ManagedPolicy, IamError> {
        let CreatePolicy { account: id, name, path, description, document, mutation } = request;
        rules::name(EntityKind::Policy, &name)?;
        rules::path(&path)?;
        rules::description(&description)?;
        rules::document(&document, rules::MANAGED_MAX)?;
        let env = self.env.clone();
        self.change(mutation, Effect::Adds, move |tx, now| {
            async move {
                let number = account(tx, &id).await?;
                let unique_id = random::unique_id(&env, "ANPA");
                let new = NewPolicy { unique_id, path, name, description };
                let Some(policy) = policies::insert(tx, number, &new, now).await? else {
                    return Err(exists(EntityKind::Policy, &new.name));
                };
                policies::add_version(tx, policy, &document, now).await?;
                let made = policies::find(tx, number, &new.name).await?;
                Ok(entry(&id, made.ok_or_else(|| no_such(EntityKind::Policy, &new.name))?))
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn get_policy(&self, request: PolicyRef) -> Result<ManagedPolicy, IamError> {
        let mut snapshot = self.store.snapshot().await?;
        let number = account(&mut snapshot, &request.account).await?;
        let of = PolicyAccount { number, id: &request.account };
        match find(&mut snapshot, of, &request.policy).await? {
            FoundPolicy::Own(policy) => Ok(entry(&request.account, *policy)),
            FoundPolicy::BuiltIn(found) => {
                let counts = attachments::count(&mut snapshot, number, found.policy()).await?;
                Ok(found.entry(counts))
            }
        }
    }

    pub(super) async fn list_policies(&self, request: ListPolicies) -> Result<Page<ManagedPolicy>, IamError> {
        let (rows, size) = page_size(request.max);
        let mut snapshot = self.store.snapshot().await?;
        let number = account(&mut snapshot, &request.account).await?;
        let mut built_in = Vec::new();
        if request.scope != PolicyScope::Local && request.after.is_none() {
            built_in = built_in_entries(&mut snapshot, number, &request).await?;
        }
        let after = request.after.unwrap_or_default();
        let found = match request.scope {
            PolicyScope::Aws => Vec::new(),
            PolicyScope::All | PolicyScope::Local => {
                let filter = (request.path_prefix.as_str(), request.only_attached);
                policies::list(&mut snapshot, number, filter, &after, rows).await?
            }
        };
        let id = &request.account;
        let mut own = page(found, size, |policy| policy.properties.name.clone(), |policy| entry(id, policy));
        own.entries.splice(..0, built_in);
        Ok(own)
    }

    pub(super) async fn delete_policy(&self, request: DeletePolicy) -> Result<(), IamError> {
        let DeletePolicy { policy: PolicyRef { account: id, policy: text }, mutation } = request;
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = account(tx, &id).await?;
                let policy = find(tx, PolicyAccount { number, id: &id }, &text).await?.own()?;
                let name = &policy.properties.name;
                if policy.attachments > 0 || policy.boundaries > 0 {
                    let reason = format!(
                        "policy {name} is attached to {} and the permissions boundary of {} users, groups and roles",
                        policy.attachments, policy.boundaries
                    );
                    return Err(IamError::DeleteConflict { reason });
                }
                if policies::versions(tx, policy.policy).await?.len() > 1 {
                    let reason = format!("policy {name} has versions besides its default; delete them first");
                    return Err(IamError::DeleteConflict { reason });
                }
                Ok(policies::delete(tx, policy.policy).await?)
            }
            .boxed()
        })
        .await
    }
}

async fn built_in_entries(
    connection: &mut Connection,
    account: AccountNumber,
    request: &ListPolicies,
) -> Result<Vec<ManagedPolicy>, IamError> {
    let mut entries = Vec::new();
    for built_in in &built_in::ALL {
        let counts = attachments::count(connection, account, built_in.policy()).await?;
        if "/".starts_with(&request.path_prefix) && (counts.0 > 0 || !request.only_attached) {
            entries.push(built_in.entry(counts));
        }
    }
    Ok(entries)
}

/// The policy of a row.
fn entry(account: &str, policy: Policy) -> ManagedPolicy {
    ManagedPolicy {
        arn: arn(account, &policy),
        id: policy.properties.unique_id,
        path: policy.properties.path,
        name: policy.properties.name,
        description: policy.properties.description,
        default_version: policy.default_version,
        attachments: policy.attachments,
        boundaries: policy.boundaries,
        created_at: policy.created_at,
        updated_at: policy.updated_at,
    }
}

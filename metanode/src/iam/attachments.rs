//! Attachments of managed policies.

use cairn_protocol::iam::{
    AttachedPolicy, EntityKind, HolderRef, IamError, ListPolicyHolders, Page, PolicyAttachment, PolicyHolder,
};
use futures_util::FutureExt;

use super::holders::{self, policy_arn};
use super::policy_ref::{PolicyAccount, find};
use super::{Effect, Identities, account, built_in, invalid, no_such, page, page_size};
use crate::store::Connection;
use crate::store::iam::{HolderId, PolicyId, attachments};

/// Upper limit of the managed policies that are attached to one user, group or role.
const ATTACHED_MAX: usize = 10;

impl Identities {
    pub(super) async fn attach_policy(&self, request: PolicyAttachment) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (holder, policy) = both(tx, &request).await?;
                let attached = attachments::of_holder(tx, holder).await?;
                if attached.iter().any(|(other, _)| *other == policy) {
                    return Ok(());
                }
                if attached.len() >= ATTACHED_MAX {
                    let kind = request.holder.kind;
                    let reason = format!("a {kind} has up to {ATTACHED_MAX} attached policies");
                    return Err(IamError::LimitExceeded { reason });
                }
                Ok(attachments::insert(tx, holder, policy).await?)
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn detach_policy(&self, request: PolicyAttachment) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (holder, policy) = both(tx, &request).await?;
                if !attachments::delete(tx, holder, policy).await? {
                    return Err(no_such(EntityKind::AttachedPolicy, &request.policy));
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn list_attached_policies(
        &self,
        request: HolderRef,
    ) -> Result<Vec<AttachedPolicy>, IamError> {
        let mut reader = self.store.read().await?;
        let (_, holder) = holders::find(&mut reader, &request).await?;
        let attached = attachments::of_holder(&mut reader, holder.holder).await?;
        let entry = |(policy, name): (PolicyId, Option<(String, String)>)| {
            let arn = policy_arn(&request.account, policy, name.as_ref())?;
            let name = name.map(|(_, name)| name);
            let name = name.or_else(|| built_in::by_number(policy).map(|found| found.name.to_owned()))?;
            Some(AttachedPolicy { arn, name })
        };
        let mut entries: Vec<_> = attached.into_iter().filter_map(entry).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    pub(super) async fn list_policy_holders(
        &self,
        request: ListPolicyHolders,
    ) -> Result<Page<PolicyHolder>, IamError> {
        let (rows, size) = page_size(request.max);
        let after = request.after.as_deref().unwrap_or("0").parse();
        let after = after.map_err(|_| invalid("the mark of the page is not one of a page before"))?;
        let mut snapshot = self.store.snapshot().await?;
        let number = account(&mut snapshot, &request.policy.account).await?;
        let of = PolicyAccount { number, id: &request.policy.account };
        let policy = find(&mut snapshot, of, &request.policy.policy).await?.policy();
        let found = attachments::of_policy(&mut snapshot, number, policy, after, rows).await?;
        Ok(page(found, size, |(number, _)| number.to_string(), |(_, holder)| holder))
    }
}

/// The holder and the policy of an attachment.
async fn both(
    connection: &mut Connection,
    request: &PolicyAttachment,
) -> Result<(HolderId, PolicyId), IamError> {
    let (number, holder) = holders::find(connection, &request.holder).await?;
    let account = PolicyAccount { number, id: &request.holder.account };
    let policy = find(connection, account, &request.policy).await?;
    Ok((holder.holder, policy.policy()))
}

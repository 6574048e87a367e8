//! Inline policies.

use cairn_protocol::iam::{
    DeleteInlinePolicy, EntityKind, HolderRef, IamError, InlinePolicy, InlinePolicyRef, PutInlinePolicy,
};
use futures_util::FutureExt;

use super::{Effect, Identities, holders, no_such, rules};
use crate::store::iam::inline;

impl Identities {
    pub(super) async fn put_inline_policy(&self, request: PutInlinePolicy) -> Result<(), IamError> {
        let PutInlinePolicy { holder, name, document, mutation } = request;
        let max = rules::inline_max(holder.kind);
        rules::name(EntityKind::InlinePolicy, &name)?;
        rules::document(&document, max)?;
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (_, found) = holders::find(tx, &holder).await?;
                let others = inline::list(tx, found.holder).await?;
                let others = others.iter().filter(|other| other.name != name);
                let others: usize = others.map(|other| rules::length(&other.document)).sum();
                if others + rules::length(&document) > max {
                    let kind = holder.kind;
                    let reason = format!(
                        "the inline policies of a {kind} have up to {max} characters together, without white space"
                    );
                    return Err(IamError::LimitExceeded { reason });
                }
                Ok(inline::put(tx, found.holder, &name, &document).await?)
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn get_inline_policy(&self, request: InlinePolicyRef) -> Result<InlinePolicy, IamError> {
        let mut reader = self.store.read().await?;
        let (_, found) = holders::find(&mut reader, &request.holder).await?;
        let policies = inline::list(&mut reader, found.holder).await?;
        let policy = policies.into_iter().find(|policy| policy.name == request.name);
        policy.ok_or_else(|| no_such(EntityKind::InlinePolicy, &request.name))
    }

    pub(super) async fn list_inline_policies(&self, request: HolderRef) -> Result<Vec<String>, IamError> {
        let mut reader = self.store.read().await?;
        let (_, found) = holders::find(&mut reader, &request).await?;
        let policies = inline::list(&mut reader, found.holder).await?;
        Ok(policies.into_iter().map(|policy| policy.name).collect())
    }

    pub(super) async fn delete_inline_policy(&self, request: DeleteInlinePolicy) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (_, found) = holders::find(tx, &request.holder).await?;
                if !inline::delete(tx, found.holder, &request.name).await? {
                    return Err(no_such(EntityKind::InlinePolicy, &request.name));
                }
                Ok(())
            }
            .boxed()
        })
        .await
    }
}

//! Permissions boundaries of users and roles.

use cairn_protocol::iam::{DeleteBoundary, EntityKind, IamError, PutBoundary};
use futures_util::FutureExt;

use super::policy_ref::{PolicyAccount, find};
use super::{Effect, Identities, holders, no_such};
use crate::store::iam::holder_changes::set_boundary;

impl Identities {
    pub(super) async fn put_boundary(&self, request: PutBoundary) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (number, found) = holders::find_no_group(tx, &request.holder).await?;
                let account = PolicyAccount { number, id: &request.holder.account };
                let policy = find(tx, account, &request.policy).await?.policy();
                Ok(set_boundary(tx, found.holder, Some(policy)).await?)
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn delete_boundary(&self, request: DeleteBoundary) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (_, found) = holders::find_no_group(tx, &request.holder).await?;
                if found.properties.boundary.is_none() {
                    return Err(no_such(EntityKind::Boundary, &request.holder.name));
                }
                Ok(set_boundary(tx, found.holder, None).await?)
            }
            .boxed()
        })
        .await
    }
}

//! Tags of users and roles. Policies may have conditions on them, so every change may take access away.

use cairn_protocol::iam::{IamError, TagHolder, UntagHolder};
use futures_util::FutureExt;

use super::{Effect, Identities, holders, rules};
use crate::store::iam::holder_changes::set_tags;

impl Identities {
    pub(super) async fn tag_holder(&self, request: TagHolder) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (_, found) = holders::find_no_group(tx, &request.holder).await?;
                let mut tags = found.properties.tags;
                tags.extend(request.tags);
                rules::tags(&tags)?;
                Ok(set_tags(tx, found.holder, &tags).await?)
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn untag_holder(&self, request: UntagHolder) -> Result<(), IamError> {
        self.change(request.mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let (_, found) = holders::find_no_group(tx, &request.holder).await?;
                let mut tags = found.properties.tags;
                tags.retain(|key, _| !request.keys.contains(key));
                Ok(set_tags(tx, found.holder, &tags).await?)
            }
            .boxed()
        })
        .await
    }
}

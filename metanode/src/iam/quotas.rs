//! Quotas of users.

use cairn_protocol::iam::{EntityRef, HolderKind, IamError, SetUserQuota, User};
use futures_util::FutureExt;

use super::{Effect, Identities, account, holders, invalid};
use crate::store::usage;

impl Identities {
    pub(super) async fn set_user_quota(&self, request: SetUserQuota) -> Result<User, IamError> {
        let SetUserQuota { account: id, name, quota, mutation } = request;
        // Counters are 64-bit numbers with a sign.
        if [quota.objects, quota.bytes].into_iter().flatten().any(|limit| i64::try_from(limit).is_err()) {
            return Err(invalid("a quota is less than 8 EiB, and less than 2^63 objects"));
        }
        let user = EntityRef { account: id.clone(), name: name.clone() };
        // Gateways remember whether a user has a quota.
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = account(tx, &id).await?;
                let found = holders::find_in(tx, number, HolderKind::User, &name).await?;
                Ok(usage::set_user_quota(tx, found.holder, quota).await?)
            }
            .boxed()
        })
        .await?;
        self.get_user(user).await
    }
}

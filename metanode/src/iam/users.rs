//! Users.

use cairn_protocol::iam::{
    CreateUser, EntityRef, HolderKind, IamError, ListEntities, Page, UpdateEntity, User,
};
use futures_util::FutureExt;

use super::holders::{self, Creation};
use super::{Effect, Identities, arns};
use crate::store::iam::holders::Holder;

impl Identities {
    pub(super) async fn create_user(&self, request: CreateUser) -> Result<User, IamError> {
        let env = self.env.clone();
        let CreateUser { account, name, path, boundary, tags, mutation } = request;
        self.change(mutation, Effect::Adds, move |tx, now| {
            async move {
                let id = account.clone();
                let kind = HolderKind::User;
                let creation = Creation { kind, account, name, path, boundary, tags, role: None };
                Ok(user(&id, holders::create(tx, creation, &env, now).await?))
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn get_user(&self, request: EntityRef) -> Result<User, IamError> {
        Ok(user(&request.account, self.get_holder(HolderKind::User, &request).await?))
    }

    pub(super) async fn list_users(&self, request: ListEntities) -> Result<Page<User>, IamError> {
        self.list_holders(HolderKind::User, request, user).await
    }

    pub(super) async fn update_user(&self, request: UpdateEntity) -> Result<User, IamError> {
        let updated = self.update_holder(HolderKind::User, request).await?;
        self.get_user(updated).await
    }
}

/// The user of a row.
pub(super) fn user(account: &str, holder: Holder) -> User {
    let boundary = holders::boundary_arn(account, &holder);
    let created_at = holder.created_at;
    let properties = holder.properties;
    User {
        arn: arns::holder(account, HolderKind::User, &properties.path, &properties.name),
        id: properties.unique_id,
        path: properties.path,
        name: properties.name,
        created_at,
        boundary,
        tags: properties.tags,
        quota: holder.quota,
        usage: holder.usage,
    }
}

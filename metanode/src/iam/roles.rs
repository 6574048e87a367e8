//! Roles.

use cairn_protocol::iam::{
    CreateRole, EntityRef, HolderKind, IamError, ListEntities, Page, Role, SESSION_S_MAX, SESSION_S_MIN,
    UpdateRole, UpdateRoleTrust,
};
use futures_util::FutureExt;

use super::holders::{self, Creation};
use super::{Effect, Identities, account, arns, invalid, rules};
use crate::store::iam::holder_changes::set_role;
use crate::store::iam::holders::{Holder, RoleProperties};

impl Identities {
    pub(super) async fn create_role(&self, request: CreateRole) -> Result<Role, IamError> {
        let env = self.env.clone();
        let CreateRole { account, name, path, description, trust, session_s_max, boundary, tags, mutation } =
            request;
        let role = RoleProperties { description, trust, session_s_max };
        check(&role)?;
        self.change(mutation, Effect::Adds, move |tx, now| {
            async move {
                let id = account.clone();
                let kind = HolderKind::Role;
                let creation = Creation { kind, account, name, path, boundary, tags, role: Some(role) };
                Ok(self::role(&id, holders::create(tx, creation, &env, now).await?))
            }
            .boxed()
        })
        .await
    }

    pub(super) async fn get_role(&self, request: EntityRef) -> Result<Role, IamError> {
        Ok(role(&request.account, self.get_holder(HolderKind::Role, &request).await?))
    }

    pub(super) async fn list_roles(&self, request: ListEntities) -> Result<Page<Role>, IamError> {
        self.list_holders(HolderKind::Role, request, role).await
    }

    pub(super) async fn update_role(&self, request: UpdateRole) -> Result<Role, IamError> {
        let UpdateRole { account, name, description, session_s_max, mutation } = request;
        let change = move |role: &mut RoleProperties| {
            role.description = description.unwrap_or_else(|| role.description.clone());
            role.session_s_max = session_s_max.unwrap_or(role.session_s_max);
        };
        let of = EntityRef { account, name };
        self.change_role(of.clone(), mutation, change).await?;
        self.get_role(of).await
    }

    pub(super) async fn update_role_trust(&self, request: UpdateRoleTrust) -> Result<(), IamError> {
        let UpdateRoleTrust { account, name, trust, mutation } = request;
        self.change_role(EntityRef { account, name }, mutation, move |role| role.trust = trust).await
    }

    async fn change_role(
        &self,
        of: EntityRef,
        mutation: Option<cairn_protocol::id::MutationId>,
        change: impl FnOnce(&mut RoleProperties) + Send + 'static,
    ) -> Result<(), IamError> {
        self.change(mutation, Effect::MayTakeAway, move |tx, _| {
            async move {
                let number = account(tx, &of.account).await?;
                let holder = holders::find_in(tx, number, HolderKind::Role, &of.name).await?;
                let mut role = holder.properties.role.ok_or(IamError::Internal)?;
                change(&mut role);
                check(&role)?;
                Ok(set_role(tx, holder.holder, &role).await?)
            }
            .boxed()
        })
        .await
    }
}

fn check(role: &RoleProperties) -> Result<(), IamError> {
    rules::description(&role.description)?;
    rules::trust(&role.trust)?;
    if !(SESSION_S_MIN..=SESSION_S_MAX).contains(&role.session_s_max) {
        let reason = format!("the longest session of a role is {SESSION_S_MIN} to {SESSION_S_MAX} seconds");
        return Err(invalid(reason));
    }
    Ok(())
}

/// The role of a row.
fn role(account: &str, holder: Holder) -> Role {
    let boundary = holders::boundary_arn(account, &holder);
    let created_at = holder.created_at;
    let properties = holder.properties;
    let role = properties.role.unwrap_or(RoleProperties {
        description: String::new(),
        trust: String::new(),
        session_s_max: SESSION_S_MIN,
    });
    Role {
        arn: arns::holder(account, HolderKind::Role, &properties.path, &properties.name),
        id: properties.unique_id,
        path: properties.path,
        name: properties.name,
        created_at,
        description: role.description,
        trust: role.trust,
        session_s_max: role.session_s_max,
        boundary,
        tags: properties.tags,
    }
}

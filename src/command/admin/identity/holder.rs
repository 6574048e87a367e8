//! The user, group or role of a command.

use cairn_protocol::env::Env;
use cairn_protocol::iam::{
    DeleteAccessKey, DeleteInlinePolicy, EntityRef, GetGroup, HolderKind, HolderRef, Iam, IamError, KeyOwner,
    Membership, PolicyAttachment,
};
use clap::Args;
use serde::Serialize;

use super::{AccountArgument, PAGE, all, mutation};

/// Selects a user, a group or a role.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct HolderArguments {
    /// The user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// The group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,

    /// The role
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
}

impl HolderArguments {
    /// The user, group or role, in this account.
    pub(super) fn of(self, account: &AccountArgument) -> HolderRef {
        let (kind, name) = match (self.user, self.group, self.role) {
            (Some(name), ..) => (HolderKind::User, name),
            (None, Some(name), _) => (HolderKind::Group, name),
            // The parser asks for one of the three.
            (None, None, name) => (HolderKind::Role, name.unwrap_or_default()),
        };
        HolderRef { account: account.account.clone(), kind, name }
    }
}

/// What a user, group or role has: what keeps it from being deleted.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ties {
    /// Ids of access keys; of inactive ones too.
    pub(super) access_keys: Vec<String>,
    /// Names of inline policies.
    pub(super) inline_policies: Vec<String>,
    /// ARNs of attached policies.
    pub(super) attached_policies: Vec<String>,
    /// Groups of a user.
    pub(super) groups: Vec<String>,
    /// Members of a group.
    pub(super) members: Vec<String>,
}

impl Ties {
    /// Asks for what a user, group or role has.
    pub(super) async fn ask(iam: &dyn Iam, holder: &HolderRef) -> Result<Self, IamError> {
        let mut ties = Self {
            inline_policies: iam.list_inline_policies(holder.clone()).await?,
            attached_policies: attached(iam, holder).await?,
            ..Self::default()
        };
        match holder.kind {
            HolderKind::User => {
                let keys = iam.list_access_keys(owner(holder)).await?;
                ties.access_keys = keys.into_iter().map(|key| key.access_key).collect();
                let user = EntityRef { account: holder.account.clone(), name: holder.name.clone() };
                let groups = iam.list_groups_of_user(user).await?;
                ties.groups = groups.into_iter().map(|group| group.name).collect();
            }
            HolderKind::Group => ties.members = members(iam, holder).await?,
            HolderKind::Role => {}
        }
        Ok(ties)
    }

    /// One line for each kind of thing that there is.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("access keys", &self.access_keys),
            ("inline policies", &self.inline_policies),
            ("attached policies", &self.attached_policies),
            ("groups", &self.groups),
            ("members", &self.members),
        ];
        let some = all.into_iter().filter(|(_, names)| !names.is_empty());
        some.map(|(what, names)| (what, names.join(", "))).collect()
    }

    /// Removes all of it.
    pub(super) async fn remove(self, iam: &dyn Iam, holder: &HolderRef, env: &Env) -> Result<(), IamError> {
        for access_key in self.access_keys {
            let owner = owner(holder);
            iam.delete_access_key(DeleteAccessKey { owner, access_key, mutation: mutation(env) }).await?;
        }
        for name in self.inline_policies {
            let request = DeleteInlinePolicy { holder: holder.clone(), name, mutation: mutation(env) };
            iam.delete_inline_policy(request).await?;
        }
        for policy in self.attached_policies {
            let request = PolicyAttachment { holder: holder.clone(), policy, mutation: mutation(env) };
            iam.detach_policy(request).await?;
        }
        let account = || holder.account.clone();
        for group in self.groups {
            let user = holder.name.clone();
            let request = Membership { account: account(), group, user, mutation: mutation(env) };
            iam.remove_group_member(request).await?;
        }
        for user in self.members {
            let group = holder.name.clone();
            let request = Membership { account: account(), group, user, mutation: mutation(env) };
            iam.remove_group_member(request).await?;
        }
        Ok(())
    }
}

fn owner(user: &HolderRef) -> KeyOwner {
    KeyOwner { account: user.account.clone(), user: Some(user.name.clone()) }
}

async fn attached(iam: &dyn Iam, holder: &HolderRef) -> Result<Vec<String>, IamError> {
    let attached = iam.list_attached_policies(holder.clone()).await?;
    Ok(attached.into_iter().map(|policy| policy.arn).collect())
}

async fn members(iam: &dyn Iam, group: &HolderRef) -> Result<Vec<String>, IamError> {
    let pages = all(async |after| {
        let (account, name) = (group.account.clone(), group.name.clone());
        Ok(iam.get_group(GetGroup { account, name, after, max: PAGE }).await?.members)
    });
    Ok(pages.await?.into_iter().map(|user| user.name).collect())
}

//! The calls about accounts, users, groups, roles, access keys and policies: of operators' commands and of gateways that serve
//! the IAM API.
//!
//! The rules are AWS's, and so are the limits (IAM User Guide, "IAM and AWS STS quotas"), unless a comment says otherwise. The
//! metanode enforces what must hold in the database: names, limits of number and size, and what keeps a deletion from being
//! done. What a policy document *means* is checked by the caller; the metanode looks only at its size and that it is a JSON object.
//!
//! Every change can be repeated when its answer was lost: see [`metadata`](crate::metadata). The repetition needs the same
//! [`MutationId`](crate::id::MutationId).

mod account;
mod error;
mod group;
mod holder;
mod key;
mod page;
mod policy;
mod provider;
mod role;
mod session;
mod user;

pub use account::*;
pub use error::*;
pub use group::*;
pub use holder::*;
pub use key::*;
pub use page::*;
pub use policy::*;
pub use provider::*;
pub use role::*;
pub use session::*;
pub use user::*;

crate::rpc_service! {
    /// Identities and what they may do.
    Iam, iam_router, "iam", IamError {
        /// Creates an account, and an access key of its root user.
        create_account(CreateAccount) -> NewAccount;
        /// An account.
        get_account(AccountRef) -> AccountEntry;
        /// Accounts in the order of their ids.
        list_accounts(ListAccounts) -> Page<AccountEntry>;
        /// Deletes an account that has no buckets, users, groups, roles, policies and providers, with the keys of its root user. The
        /// first account stays.
        delete_account(DeleteAccount) -> ();

        /// Creates a user.
        create_user(CreateUser) -> User;
        /// A user.
        get_user(EntityRef) -> User;
        /// Users in the order of their names.
        list_users(ListEntities) -> Page<User>;
        /// Changes the name or the path of a user.
        update_user(UpdateEntity) -> User;
        /// Sets how much the keys of a user may write. What is there stays.
        set_user_quota(SetUserQuota) -> User;
        /// Deletes a user without keys, policies and memberships.
        delete_user(DeleteEntity) -> ();

        /// Creates an access key. A user has up to two.
        create_access_key(CreateAccessKey) -> NewAccessKey;
        /// The access keys of a user, without their secrets.
        list_access_keys(KeyOwner) -> Vec<AccessKeyEntry>;
        /// Activates or deactivates an access key.
        set_access_key_status(SetAccessKeyStatus) -> AccessKeyEntry;
        /// Creates an access key and, if asked, deactivates an old one, in one step.
        rotate_access_key(RotateAccessKey) -> NewAccessKey;
        /// Deletes an access key.
        delete_access_key(DeleteAccessKey) -> ();

        /// Creates a group.
        create_group(CreateGroup) -> Group;
        /// A group and a page of its members.
        get_group(GetGroup) -> GroupMembers;
        /// Groups in the order of their names.
        list_groups(ListEntities) -> Page<Group>;
        /// The groups of a user.
        list_groups_of_user(EntityRef) -> Vec<Group>;
        /// Changes the name or the path of a group.
        update_group(UpdateEntity) -> Group;
        /// Adds a user to a group. Nothing happens if it is a member.
        add_group_member(Membership) -> ();
        /// Removes a user from a group.
        remove_group_member(Membership) -> ();
        /// Deletes a group without members and policies.
        delete_group(DeleteEntity) -> ();

        /// Creates a role.
        create_role(CreateRole) -> Role;
        /// A role.
        get_role(EntityRef) -> Role;
        /// Roles in the order of their names.
        list_roles(ListEntities) -> Page<Role>;
        /// Changes the description or the longest session of a role.
        update_role(UpdateRole) -> Role;
        /// Replaces the document that says who may assume a role.
        update_role_trust(UpdateRoleTrust) -> ();
        /// Deletes a role without policies.
        delete_role(DeleteEntity) -> ();

        /// Creates a managed policy, with its first version.
        create_policy(CreatePolicy) -> ManagedPolicy;
        /// A managed policy, without its document.
        get_policy(PolicyRef) -> ManagedPolicy;
        /// Managed policies: those built in, and then the account's in the order of their names.
        list_policies(ListPolicies) -> Page<ManagedPolicy>;
        /// Adds a version to a managed policy.
        create_policy_version(CreatePolicyVersion) -> PolicyVersion;
        /// A version of a managed policy, with its document.
        get_policy_version(PolicyVersionRef) -> PolicyVersion;
        /// The versions of a managed policy, without their documents, the latest first.
        list_policy_versions(PolicyRef) -> Vec<PolicyVersion>;
        /// Makes a version of a managed policy the one that applies.
        set_default_policy_version(ChangePolicyVersion) -> ();
        /// Deletes a version of a managed policy that is not the default.
        delete_policy_version(ChangePolicyVersion) -> ();
        /// Deletes a managed policy that applies to nothing and has only its default version.
        delete_policy(DeletePolicy) -> ();

        /// Attaches a managed policy. Nothing happens if it is attached.
        attach_policy(PolicyAttachment) -> ();
        /// Detaches a managed policy.
        detach_policy(PolicyAttachment) -> ();
        /// The managed policies that are attached to a user, group or role, in the order of their names.
        list_attached_policies(HolderRef) -> Vec<AttachedPolicy>;
        /// The users, groups and roles that a managed policy applies to.
        list_policy_holders(ListPolicyHolders) -> Page<PolicyHolder>;

        /// Creates or replaces an inline policy.
        put_inline_policy(PutInlinePolicy) -> ();
        /// The document of an inline policy.
        get_inline_policy(InlinePolicyRef) -> InlinePolicy;
        /// The names of the inline policies of a user, group or role.
        list_inline_policies(HolderRef) -> Vec<String>;
        /// Deletes an inline policy.
        delete_inline_policy(DeleteInlinePolicy) -> ();

        /// Sets the permissions boundary of a user or role.
        put_boundary(PutBoundary) -> ();
        /// Removes the permissions boundary of a user or role.
        delete_boundary(DeleteBoundary) -> ();
        /// Adds tags to a user or role, or replaces their values.
        tag_holder(TagHolder) -> ();
        /// Removes tags from a user or role. Keys that are not there are ignored.
        untag_holder(UntagHolder) -> ();

        /// Creates a provider of OpenID Connect.
        create_oidc_provider(CreateOidcProvider) -> OidcProvider;
        /// A provider of OpenID Connect.
        get_oidc_provider(OidcProviderRef) -> OidcProvider;
        /// The providers of an account, in the order of their URLs.
        list_oidc_providers(AccountRef) -> Vec<OidcProvider>;
        /// Replaces the client ids and the thumbprints of a provider.
        update_oidc_provider(UpdateOidcProvider) -> OidcProvider;
        /// Deletes a provider.
        delete_oidc_provider(DeleteOidcProvider) -> ();

        /// Opens a session, which changes nothing in the database.
        open_session(OpenSession) -> NewSession;
    }
}

//! The operations of the service, one line each. Each is implemented in the file of its noun.

use async_trait::async_trait;
use cairn_protocol::iam::{
    AccessKeyEntry, AccountEntry, AccountRef, AttachedPolicy, ChangePolicyVersion, CreateAccessKey,
    CreateAccount, CreateGroup, CreateOidcProvider, CreatePolicy, CreatePolicyVersion, CreateRole,
    CreateUser, DeleteAccessKey, DeleteAccount, DeleteBoundary, DeleteEntity, DeleteInlinePolicy,
    DeleteOidcProvider, DeletePolicy, EntityRef, GetGroup, Group, GroupMembers, HolderKind, HolderRef, Iam,
    IamError, InlinePolicy, InlinePolicyRef, KeyOwner, ListAccounts, ListEntities, ListPolicies,
    ListPolicyHolders, ManagedPolicy, Membership, NewAccessKey, NewAccount, NewSession, OidcProvider,
    OidcProviderRef, OpenSession, Page, PolicyAttachment, PolicyHolder, PolicyRef, PolicyVersion,
    PolicyVersionRef, PutBoundary, PutInlinePolicy, Role, RotateAccessKey, SetAccessKeyStatus, SetUserQuota,
    TagHolder, UntagHolder, UpdateEntity, UpdateOidcProvider, UpdateRole, UpdateRoleTrust, User,
};

use super::Identities;

type Answer<T> = Result<T, IamError>;

#[async_trait]
impl Iam for Identities {
    async fn create_account(&self, request: CreateAccount) -> Answer<NewAccount> {
        self.create_account(request).await
    }
    async fn get_account(&self, request: AccountRef) -> Answer<AccountEntry> {
        self.get_account(request).await
    }
    async fn list_accounts(&self, request: ListAccounts) -> Answer<Page<AccountEntry>> {
        self.list_accounts(request).await
    }
    async fn delete_account(&self, request: DeleteAccount) -> Answer<()> {
        self.delete_account(request).await
    }
    async fn create_user(&self, request: CreateUser) -> Answer<User> {
        self.create_user(request).await
    }
    async fn get_user(&self, request: EntityRef) -> Answer<User> {
        self.get_user(request).await
    }
    async fn list_users(&self, request: ListEntities) -> Answer<Page<User>> {
        self.list_users(request).await
    }
    async fn update_user(&self, request: UpdateEntity) -> Answer<User> {
        self.update_user(request).await
    }
    async fn set_user_quota(&self, request: SetUserQuota) -> Answer<User> {
        self.set_user_quota(request).await
    }
    async fn delete_user(&self, request: DeleteEntity) -> Answer<()> {
        self.delete_holder(HolderKind::User, request).await
    }
    async fn create_access_key(&self, request: CreateAccessKey) -> Answer<NewAccessKey> {
        self.create_access_key(request).await
    }
    async fn list_access_keys(&self, request: KeyOwner) -> Answer<Vec<AccessKeyEntry>> {
        self.list_access_keys(request).await
    }
    async fn set_access_key_status(&self, request: SetAccessKeyStatus) -> Answer<AccessKeyEntry> {
        self.set_access_key_status(request).await
    }
    async fn rotate_access_key(&self, request: RotateAccessKey) -> Answer<NewAccessKey> {
        self.rotate_access_key(request).await
    }
    async fn delete_access_key(&self, request: DeleteAccessKey) -> Answer<()> {
        self.delete_access_key(request).await
    }
    async fn create_group(&self, request: CreateGroup) -> Answer<Group> {
        self.create_group(request).await
    }
    async fn get_group(&self, request: GetGroup) -> Answer<GroupMembers> {
        self.get_group(request).await
    }
    async fn list_groups(&self, request: ListEntities) -> Answer<Page<Group>> {
        self.list_groups(request).await
    }
    async fn list_groups_of_user(&self, request: EntityRef) -> Answer<Vec<Group>> {
        self.list_groups_of_user(request).await
    }
    async fn update_group(&self, request: UpdateEntity) -> Answer<Group> {
        self.update_group(request).await
    }
    async fn add_group_member(&self, request: Membership) -> Answer<()> {
        self.add_group_member(request).await
    }
    async fn remove_group_member(&self, request: Membership) -> Answer<()> {
        self.remove_group_member(request).await
    }
    async fn delete_group(&self, request: DeleteEntity) -> Answer<()> {
        self.delete_holder(HolderKind::Group, request).await
    }
    async fn create_role(&self, request: CreateRole) -> Answer<Role> {
        self.create_role(request).await
    }
    async fn get_role(&self, request: EntityRef) -> Answer<Role> {
        self.get_role(request).await
    }
    async fn list_roles(&self, request: ListEntities) -> Answer<Page<Role>> {
        self.list_roles(request).await
    }
    async fn update_role(&self, request: UpdateRole) -> Answer<Role> {
        self.update_role(request).await
    }
    async fn update_role_trust(&self, request: UpdateRoleTrust) -> Answer<()> {
        self.update_role_trust(request).await
    }
    async fn delete_role(&self, request: DeleteEntity) -> Answer<()> {
        self.delete_holder(HolderKind::Role, request).await
    }
    async fn create_policy(&self, request: CreatePolicy) -> Answer<ManagedPolicy> {
        self.create_policy(request).await
    }
    async fn get_policy(&self, request: PolicyRef) -> Answer<ManagedPolicy> {
        self.get_policy(request).await
    }
    async fn list_policies(&self, request: ListPolicies) -> Answer<Page<ManagedPolicy>> {
        self.list_policies(request).await
    }
    async fn create_policy_version(&self, request: CreatePolicyVersion) -> Answer<PolicyVersion> {
        self.create_policy_version(request).await
    }
    async fn get_policy_version(&self, request: PolicyVersionRef) -> Answer<PolicyVersion> {
        self.get_policy_version(request).await
    }
    async fn list_policy_versions(&self, request: PolicyRef) -> Answer<Vec<PolicyVersion>> {
        self.list_policy_versions(request).await
    }
    async fn set_default_policy_version(&self, request: ChangePolicyVersion) -> Answer<()> {
        self.set_default_policy_version(request).await
    }
    async fn delete_policy_version(&self, request: ChangePolicyVersion) -> Answer<()> {
        self.delete_policy_version(request).await
    }
    async fn delete_policy(&self, request: DeletePolicy) -> Answer<()> {
        self.delete_policy(request).await
    }
    async fn attach_policy(&self, request: PolicyAttachment) -> Answer<()> {
        self.attach_policy(request).await
    }
    async fn detach_policy(&self, request: PolicyAttachment) -> Answer<()> {
        self.detach_policy(request).await
    }
    async fn list_attached_policies(&self, request: HolderRef) -> Answer<Vec<AttachedPolicy>> {
        self.list_attached_policies(request).await
    }
    async fn list_policy_holders(&self, request: ListPolicyHolders) -> Answer<Page<PolicyHolder>> {
        self.list_policy_holders(request).await
    }
    async fn put_inline_policy(&self, request: PutInlinePolicy) -> Answer<()> {
        self.put_inline_policy(request).await
    }
    async fn get_inline_policy(&self, request: InlinePolicyRef) -> Answer<InlinePolicy> {
        self.get_inline_policy(request).await
    }
    async fn list_inline_policies(&self, request: HolderRef) -> Answer<Vec<String>> {
        self.list_inline_policies(request).await
    }
    async fn delete_inline_policy(&self, request: DeleteInlinePolicy) -> Answer<()> {
        self.delete_inline_policy(request).await
    }
    async fn put_boundary(&self, request: PutBoundary) -> Answer<()> {
        self.put_boundary(request).await
    }
    async fn delete_boundary(&self, request: DeleteBoundary) -> Answer<()> {
        self.delete_boundary(request).await
    }
    async fn tag_holder(&self, request: TagHolder) -> Answer<()> {
        self.tag_holder(request).await
    }
    async fn untag_holder(&self, request: UntagHolder) -> Answer<()> {
        self.untag_holder(request).await
    }
    async fn create_oidc_provider(&self, request: CreateOidcProvider) -> Answer<OidcProvider> {
        self.create_oidc_provider(request).await
    }
    async fn get_oidc_provider(&self, request: OidcProviderRef) -> Answer<OidcProvider> {
        self.get_oidc_provider(request).await
    }
    async fn list_oidc_providers(&self, request: AccountRef) -> Answer<Vec<OidcProvider>> {
        self.list_oidc_providers(request).await
    }
    async fn update_oidc_provider(&self, request: UpdateOidcProvider) -> Answer<OidcProvider> {
        self.update_oidc_provider(request).await
    }
    async fn delete_oidc_provider(&self, request: DeleteOidcProvider) -> Answer<()> {
        self.delete_oidc_provider(request).await
    }
    async fn open_session(&self, request: OpenSession) -> Answer<NewSession> {
        self.open_session(request).await
    }
}

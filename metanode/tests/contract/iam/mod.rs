//! The contract of [`Iam`](cairn_protocol::iam::Iam), and what `find_access_key` and `find_role` make of it.

mod accounts;
mod effective;
mod epochs;
mod groups;
mod keys;
mod policies;
mod providers;
mod roles;
mod sessions;
mod users;

use cairn_protocol::iam::*;
use cairn_protocol::metadata::{AccessKey, AccessKeyRef, FIRST_ACCOUNT_ID};

use crate::cluster::Cluster;

/// A document that allows one action.
fn document(action: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"*"}}]}}"#
    )
}

fn entity(name: &str) -> EntityRef {
    EntityRef { account: FIRST_ACCOUNT_ID.into(), name: name.into() }
}

fn holder(kind: HolderKind, name: &str) -> HolderRef {
    HolderRef { account: FIRST_ACCOUNT_ID.into(), kind, name: name.into() }
}

fn policy_ref(policy: &str) -> PolicyRef {
    PolicyRef { account: FIRST_ACCOUNT_ID.into(), policy: policy.into() }
}

fn owner(user: &str) -> KeyOwner {
    KeyOwner { account: FIRST_ACCOUNT_ID.into(), user: Some(user.into()) }
}

fn delete(name: &str) -> DeleteEntity {
    DeleteEntity { account: FIRST_ACCOUNT_ID.into(), name: name.into(), mutation: None }
}

fn new_user(name: &str) -> CreateUser {
    CreateUser {
        account: FIRST_ACCOUNT_ID.into(),
        name: name.into(),
        path: "/".into(),
        boundary: None,
        tags: HolderTags::new(),
        mutation: None,
    }
}

fn new_key(user: &str) -> CreateAccessKey {
    CreateAccessKey { owner: owner(user), given: None, mutation: None }
}

fn new_role(name: &str) -> CreateRole {
    CreateRole {
        account: FIRST_ACCOUNT_ID.into(),
        name: name.into(),
        path: "/".into(),
        description: "a role".into(),
        trust: document("sts:AssumeRole"),
        session_s_max: SESSION_S_MIN,
        boundary: None,
        tags: HolderTags::new(),
        mutation: None,
    }
}

fn new_policy(name: &str, action: &str) -> CreatePolicy {
    CreatePolicy {
        account: FIRST_ACCOUNT_ID.into(),
        name: name.into(),
        path: "/".into(),
        description: String::new(),
        document: document(action),
        mutation: None,
    }
}

fn attachment(holder: HolderRef, policy: &str) -> PolicyAttachment {
    PolicyAttachment { holder, policy: policy.into(), mutation: None }
}

fn inline(holder: HolderRef, name: &str, document: String) -> PutInlinePolicy {
    PutInlinePolicy { holder, name: name.into(), document, mutation: None }
}

fn membership(group: &str, user: &str) -> Membership {
    Membership { account: FIRST_ACCOUNT_ID.into(), group: group.into(), user: user.into(), mutation: None }
}

impl Cluster {
    async fn user(&self, name: &str) -> User {
        self.iam.create_user(new_user(name)).await.unwrap()
    }

    async fn group(&self, name: &str) -> Group {
        let request = CreateGroup {
            account: FIRST_ACCOUNT_ID.into(),
            name: name.into(),
            path: "/".into(),
            mutation: None,
        };
        self.iam.create_group(request).await.unwrap()
    }

    async fn key(&self, user: &str) -> NewAccessKey {
        self.iam.create_access_key(new_key(user)).await.unwrap()
    }

    async fn found(&self, access_key: &str) -> Option<AccessKey> {
        self.find_access_key(AccessKeyRef::long_term(access_key)).await.unwrap()
    }

    async fn set_active(&self, user: &str, access_key: &str, active: bool) {
        let request =
            SetAccessKeyStatus { owner: owner(user), access_key: access_key.into(), active, mutation: None };
        assert_eq!(self.iam.set_access_key_status(request).await.unwrap().active, active);
    }
}

fn is_limit<T>(outcome: &Result<T, IamError>) -> bool {
    matches!(outcome, Err(IamError::LimitExceeded { .. }))
}

fn is_conflict<T>(outcome: &Result<T, IamError>) -> bool {
    matches!(outcome, Err(IamError::DeleteConflict { .. }))
}

fn is_missing<T>(outcome: &Result<T, IamError>) -> bool {
    matches!(outcome, Err(IamError::NoSuchEntity { .. }))
}

fn is_invalid<T>(outcome: &Result<T, IamError>) -> bool {
    matches!(outcome, Err(IamError::InvalidInput { .. }))
}

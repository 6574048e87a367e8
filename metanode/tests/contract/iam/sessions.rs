//! Sessions of STS: who their access keys belong to, and what ends them.

use std::time::Duration;

use cairn_protocol::metadata::{AccessKeyRef, Identity, MetadataError, Session};

use super::*;

contract! {
    a_session_of_a_role_is_found_by_its_key_and_token,
    a_session_of_a_user_has_the_users_policies_until_the_user_is_deleted,
    a_session_with_policies_of_its_own_needs_all_of_them,
    sessions_that_cannot_be_are_refused,
}

fn open(of: SessionOf) -> OpenSession {
    let account = FIRST_ACCOUNT_ID.into();
    OpenSession { account, of, length_s: 900, policy: None, policy_arns: Vec::new() }
}

fn of_role(role: &Role) -> SessionOf {
    SessionOf::Role { id: role.id.clone(), name: "s1".into(), provider: None }
}

fn key_of(session: &NewSession) -> AccessKeyRef {
    AccessKeyRef { access_key: session.access_key.clone(), token: Some(session.token.clone()) }
}

async fn a_session_of_a_role_is_found_by_its_key_and_token(cluster: &Cluster) {
    let role = cluster.iam.create_role(new_role("r")).await.unwrap();
    let policy = inline(holder(HolderKind::Role, "r"), "p", document("s3:first"));
    cluster.iam.put_inline_policy(policy).await.unwrap();
    let session = cluster.iam.open_session(open(of_role(&role))).await.unwrap();
    assert!(session.access_key.starts_with("ASIA") && session.access_key.len() == 20);
    assert!(session.token.len() < 4000 && !format!("{session:?}").contains(&session.secret_key));

    let found = cluster.find_access_key(key_of(&session)).await.unwrap().unwrap();
    assert_eq!(found.secret_key, session.secret_key);
    assert!(matches!(&found.identity, Identity::Role { id, .. } if *id == role.id));
    assert_eq!(found.policies.documents, [document("s3:first")]);
    let Session { name, policies, provider, issued_at, expires_at } = found.session.unwrap();
    assert_eq!((name.as_deref(), policies, provider), (Some("s1"), None, None));
    assert_eq!(expires_at, session.expires_at);
    assert_eq!(expires_at, issued_at.after(Duration::from_secs(900)));

    // The policies are those of the role now, whatever it is called.
    let policy = inline(holder(HolderKind::Role, "r"), "p", document("s3:second"));
    cluster.iam.put_inline_policy(policy).await.unwrap();
    let found = cluster.find_access_key(key_of(&session)).await.unwrap().unwrap();
    assert_eq!(found.policies.documents, [document("s3:second")]);

    let other = cluster.iam.open_session(open(of_role(&role))).await.unwrap();
    let swapped = AccessKeyRef { access_key: session.access_key.clone(), token: Some(other.token) };
    let bare = AccessKeyRef::long_term(session.access_key.as_str());
    for wrong in [swapped, bare] {
        assert_eq!(cluster.find_access_key(wrong).await.unwrap(), None);
    }
    let policy =
        DeleteInlinePolicy { holder: holder(HolderKind::Role, "r"), name: "p".into(), mutation: None };
    cluster.iam.delete_inline_policy(policy).await.unwrap();
    cluster.iam.delete_role(delete("r")).await.unwrap();
    assert_eq!(cluster.find_access_key(key_of(&session)).await.unwrap(), None);
    // A new role of the same name is another one.
    cluster.iam.create_role(new_role("r")).await.unwrap();
    assert_eq!(cluster.find_access_key(key_of(&session)).await.unwrap(), None);
}

async fn a_session_of_a_user_has_the_users_policies_until_the_user_is_deleted(cluster: &Cluster) {
    let user = cluster.user("u").await;
    let key = cluster.key("u").await;
    let session = cluster.iam.open_session(open(SessionOf::User { id: user.id.clone() })).await.unwrap();
    let policy = inline(holder(HolderKind::User, "u"), "p", document("s3:mine"));
    cluster.iam.put_inline_policy(policy).await.unwrap();
    let found = cluster.find_access_key(key_of(&session)).await.unwrap().unwrap();
    assert!(matches!(&found.identity, Identity::User { id, .. } if *id == user.id));
    assert_eq!(found.policies.documents, [document("s3:mine")]);
    // The token of a session is not that of a long-term key.
    let long_term = AccessKeyRef { access_key: key.access_key.clone(), token: Some(session.token.clone()) };
    assert_eq!(cluster.find_access_key(long_term).await.unwrap(), None);
    let removals = DeleteAccessKey { owner: owner("u"), access_key: key.access_key, mutation: None };
    cluster.iam.delete_access_key(removals).await.unwrap();
    assert!(cluster.find_access_key(key_of(&session)).await.unwrap().is_some());
    let policy =
        DeleteInlinePolicy { holder: holder(HolderKind::User, "u"), name: "p".into(), mutation: None };
    cluster.iam.delete_inline_policy(policy).await.unwrap();
    cluster.iam.delete_user(delete("u")).await.unwrap();
    assert_eq!(cluster.find_access_key(key_of(&session)).await.unwrap(), None);
}

async fn a_session_with_policies_of_its_own_needs_all_of_them(cluster: &Cluster) {
    let role = cluster.iam.create_role(new_role("r")).await.unwrap();
    let managed = cluster.iam.create_policy(new_policy("m", "s3:managed")).await.unwrap();
    let request = OpenSession {
        policy: Some(document("s3:own")),
        policy_arns: vec![managed.arn.clone()],
        ..open(of_role(&role))
    };
    let session = cluster.iam.open_session(request.clone()).await.unwrap();
    let found = cluster.find_access_key(key_of(&session)).await.unwrap().unwrap();
    assert_eq!(found.session.unwrap().policies, Some(vec![document("s3:own"), document("s3:managed")]));
    let policy = DeletePolicy { policy: policy_ref(&managed.arn), mutation: None };
    cluster.iam.delete_policy(policy).await.unwrap();
    // It might have denied.
    assert_eq!(cluster.find_access_key(key_of(&session)).await.unwrap(), None);
    assert!(is_missing(&cluster.iam.open_session(request).await));
}

async fn sessions_that_cannot_be_are_refused(cluster: &Cluster) {
    let role = cluster.iam.create_role(new_role("r")).await.unwrap();
    let good = || open(of_role(&role));
    for length_s in [SESSION_LENGTH_S_MIN - 1, SESSION_LENGTH_S_MAX + 1] {
        assert!(is_invalid(&cluster.iam.open_session(OpenSession { length_s, ..good() }).await));
    }
    for id in ["AROANONE", "r"] {
        let of = SessionOf::Role { id: id.into(), name: "s1".into(), provider: None };
        assert!(is_missing(&cluster.iam.open_session(open(of)).await), "{id}");
    }
    // The id of a role is not that of a user.
    assert!(is_missing(&cluster.iam.open_session(open(SessionOf::User { id: role.id.clone() })).await));
    let long = OpenSession { policy: Some(document(&"x".repeat(2048))), ..good() };
    assert!(is_limit(&cluster.iam.open_session(long).await));
    let many =
        OpenSession { policy_arns: vec!["arn:aws:iam::aws:policy/AdministratorAccess".into(); 11], ..good() };
    assert!(is_limit(&cluster.iam.open_session(many).await));
    let other = OpenSession { account: "111122223333".into(), ..good() };
    assert!(is_missing(&cluster.iam.open_session(other).await));
}

#[tokio::test]
async fn a_session_ends_at_its_time() {
    let (cluster, clock) = Cluster::with_manual_clock().await;
    let session = cluster.iam.open_session(open(SessionOf::Root)).await.unwrap();
    clock.advance(Duration::from_millis(899_999));
    let found = cluster.find_access_key(key_of(&session)).await.unwrap().unwrap();
    assert!(matches!(found.identity, Identity::Root { .. }));
    clock.advance(Duration::from_millis(1));
    assert_eq!(cluster.find_access_key(key_of(&session)).await, Err(MetadataError::ExpiredToken));
}

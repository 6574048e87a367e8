//! Accounts: each has a root user, and names of its own.

use cairn_protocol::metadata::{Account, CreateBucket, Identity};

use super::*;

contract! {
    an_account_has_a_root_user_with_a_key,
    accounts_have_names_of_their_own,
    an_account_is_deleted_when_it_is_empty_and_the_first_never,
}

async fn create(cluster: &Cluster, name: &str) -> NewAccount {
    let request = CreateAccount { name: name.into(), mutation: cluster.mutation() };
    let made = cluster.iam.create_account(request.clone()).await.unwrap();
    assert_eq!(cluster.iam.create_account(request).await.unwrap(), made);
    made
}

async fn list(cluster: &Cluster) -> Vec<Account> {
    let page = cluster.iam.list_accounts(ListAccounts { after: None, max: 10 }).await.unwrap();
    page.entries.into_iter().map(|entry| entry.account).collect()
}

async fn an_account_has_a_root_user_with_a_key(cluster: &Cluster) {
    let NewAccount { account: entry, key } = create(cluster, "Sales").await;
    let account = entry.account;
    assert!(account.id.len() == 12 && account.id.bytes().all(|byte| byte.is_ascii_digit()), "{account:?}");
    assert_eq!(account.canonical_id.len(), 64);
    let found = cluster.found(&key.access_key).await.unwrap();
    assert_eq!(found.identity, Identity::Root { account: account.clone() });
    assert_eq!(found.secret_key, key.secret_key);
    assert_eq!(found.policies, cairn_protocol::metadata::IdentityPolicies::default());
    assert_eq!(list(cluster).await, [Account::first(), account]);
    for wrong in ["", "a\nb", &"x".repeat(51)] {
        let request = CreateAccount { name: wrong.into(), mutation: None };
        assert!(is_invalid(&cluster.iam.create_account(request).await), "{wrong}");
    }
}

async fn accounts_have_names_of_their_own(cluster: &Cluster) {
    let other = create(cluster, "other").await.account.account.id;
    cluster.user("u").await;
    let request = CreateUser { account: other.clone(), ..new_user("u") };
    let made = cluster.iam.create_user(request).await.unwrap();
    assert_eq!(made.arn, format!("arn:aws:iam::{other}:user/u"));
    // A policy of another account cannot be attached.
    let own = cluster.iam.create_policy(new_policy("p", "s3:*")).await.unwrap();
    let stranger = HolderRef { account: other, kind: HolderKind::User, name: "u".into() };
    for policy in ["p", &own.arn] {
        assert!(is_missing(&cluster.iam.attach_policy(attachment(stranger.clone(), policy)).await));
    }
    cluster.iam.attach_policy(attachment(stranger, "AdministratorAccess")).await.unwrap();
    let policy = cluster.iam.get_policy(policy_ref("AdministratorAccess")).await.unwrap();
    assert_eq!(policy.attachments, 0);
}

async fn an_account_is_deleted_when_it_is_empty_and_the_first_never(cluster: &Cluster) {
    let NewAccount { account, key } = create(cluster, "other").await;
    let id = account.account.id.clone();
    let delete = |account: &str| DeleteAccount { account: account.into(), mutation: None };
    assert!(is_conflict(&cluster.iam.delete_account(delete(FIRST_ACCOUNT_ID)).await));
    cluster.iam.create_user(CreateUser { account: id.clone(), ..new_user("u") }).await.unwrap();
    assert!(is_conflict(&cluster.iam.delete_account(delete(&id)).await));
    let user = DeleteEntity { account: id.clone(), name: "u".into(), mutation: None };
    cluster.iam.delete_user(user).await.unwrap();
    let owner = account.account.clone();
    let bucket = CreateBucket { owner, ..CreateBucket::new("theirs", "us-east-1") };
    cluster.create_bucket(bucket).await.unwrap();
    assert!(is_conflict(&cluster.iam.delete_account(delete(&id)).await), "it owns a bucket");
    cluster.delete_bucket_of("theirs").await.unwrap();
    cluster.iam.delete_account(delete(&id)).await.unwrap();
    assert_eq!(cluster.found(&key.access_key).await, None);
    assert!(is_missing(&cluster.iam.delete_account(delete(&id)).await));
    assert_eq!(list(cluster).await, [Account::first()]);
}

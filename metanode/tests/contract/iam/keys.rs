//! Access keys: their secrets are told once and sealed at rest.

use std::path::Path;

use super::*;

contract! {
    a_key_signs_for_its_user_until_it_is_disabled_or_deleted,
    a_user_has_two_keys_at_most,
    a_key_of_another_store_is_taken_over,
    a_rotation_makes_a_key_and_disables_the_old_one,
    a_repeated_creation_of_a_key_tells_the_same_secret,
    a_key_belongs_to_one_user,
}

async fn a_key_signs_for_its_user_until_it_is_disabled_or_deleted(cluster: &Cluster) {
    let user = cluster.user("u").await;
    let key = cluster.key("u").await;
    assert!(key.access_key.starts_with("AKIA") && key.access_key.len() == 20, "{}", key.access_key);
    assert_eq!(key.secret_key.len(), 40);
    assert!(!format!("{key:?}").contains(&key.secret_key));
    let found = cluster.found(&key.access_key).await.unwrap();
    assert_eq!(found.secret_key, key.secret_key);
    assert!(matches!(&found.identity, cairn_protocol::metadata::Identity::User { id, name, .. }
        if *id == user.id && name == "u"));
    assert_eq!(found.identity.account().id, FIRST_ACCOUNT_ID);
    cluster.set_active("u", &key.access_key, false).await;
    assert_eq!(cluster.found(&key.access_key).await, None);
    assert!(!cluster.iam.list_access_keys(owner("u")).await.unwrap()[0].active);
    cluster.set_active("u", &key.access_key, true).await;
    assert!(cluster.found(&key.access_key).await.is_some());
    let request = DeleteAccessKey { owner: owner("u"), access_key: key.access_key.clone(), mutation: None };
    cluster.iam.delete_access_key(request.clone()).await.unwrap();
    assert_eq!(cluster.found(&key.access_key).await, None);
    assert!(is_missing(&cluster.iam.delete_access_key(request).await));
}

async fn a_user_has_two_keys_at_most(cluster: &Cluster) {
    cluster.user("u").await;
    let keys = [cluster.key("u").await.access_key, cluster.key("u").await.access_key];
    assert!(is_limit(&cluster.iam.create_access_key(new_key("u")).await));
    let mut listed: Vec<_> = cluster
        .iam
        .list_access_keys(owner("u"))
        .await
        .unwrap()
        .into_iter()
        .map(|key| key.access_key)
        .collect();
    listed.sort();
    let mut expected = keys.to_vec();
    expected.sort();
    assert_eq!(listed, expected);
}

async fn a_key_of_another_store_is_taken_over(cluster: &Cluster) {
    cluster.user("u").await;
    let given =
        GivenKey { access_key: "minio.user-1".into(), secret_key: "its old secret".replace(' ', "-") };
    assert!(!format!("{given:?}").contains(&given.secret_key));
    let request = CreateAccessKey { given: Some(given.clone()), ..new_key("u") };
    cluster.iam.create_access_key(request.clone()).await.unwrap();
    assert_eq!(cluster.found("minio.user-1").await.unwrap().secret_key, given.secret_key);
    let twice = cluster.iam.create_access_key(request.clone()).await;
    assert!(matches!(twice, Err(IamError::EntityAlreadyExists { .. })), "{twice:?}");
    let root = cluster.metanode.root_credentials().access_key.clone();
    for (access_key, secret_key) in
        [(root.as_str(), "long enough"), ("a/b", "longenough"), ("abc", "short"), ("abc", "with space")]
    {
        let given = GivenKey { access_key: access_key.into(), secret_key: secret_key.into() };
        let refused =
            cluster.iam.create_access_key(CreateAccessKey { given: Some(given), ..new_key("u") }).await;
        let refused = refused.unwrap_err().to_string();
        assert!(!refused.contains(secret_key), "{refused}");
    }
}

async fn a_rotation_makes_a_key_and_disables_the_old_one(cluster: &Cluster) {
    cluster.user("u").await;
    let old = cluster.key("u").await;
    let rotate = |deactivate: &str| RotateAccessKey {
        owner: owner("u"),
        deactivate: Some(deactivate.into()),
        mutation: None,
    };
    assert!(is_missing(&cluster.iam.rotate_access_key(rotate("AKIANOTHERE")).await));
    let new = cluster.iam.rotate_access_key(rotate(&old.access_key)).await.unwrap();
    assert_eq!(cluster.found(&old.access_key).await, None);
    assert_eq!(cluster.found(&new.access_key).await.unwrap().secret_key, new.secret_key);
    // A rotation that is refused disables nothing.
    assert!(is_limit(&cluster.iam.rotate_access_key(rotate(&new.access_key)).await));
    assert!(cluster.found(&new.access_key).await.is_some());
}

async fn a_repeated_creation_of_a_key_tells_the_same_secret(cluster: &Cluster) {
    cluster.user("u").await;
    let request = CreateAccessKey { mutation: cluster.mutation(), ..new_key("u") };
    let made = cluster.iam.create_access_key(request.clone()).await.unwrap();
    assert_eq!(cluster.iam.create_access_key(request).await.unwrap(), made);
    assert_eq!(cluster.iam.list_access_keys(owner("u")).await.unwrap().len(), 1);
}

async fn a_key_belongs_to_one_user(cluster: &Cluster) {
    cluster.user("u").await;
    cluster.user("v").await;
    let key = cluster.key("u").await;
    let request = DeleteAccessKey { owner: owner("v"), access_key: key.access_key.clone(), mutation: None };
    assert!(is_missing(&cluster.iam.delete_access_key(request).await));
    let root = KeyOwner { account: FIRST_ACCOUNT_ID.into(), user: None };
    assert_eq!(cluster.iam.list_access_keys(root).await.unwrap(), []);
    assert!(cluster.found(&key.access_key).await.is_some());
}

/// The bytes of all files of a database.
fn bytes(directory: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let database = files.filter(|file| file.file_name().unwrap().to_str().unwrap().contains(".db"));
    database.flat_map(|file| std::fs::read(file).unwrap()).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn no_secret_is_in_the_bytes_of_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::in_directory(directory.path()).await;
    cluster.user("u").await;
    let request = CreateAccessKey { mutation: cluster.mutation(), ..new_key("u") };
    let key = cluster.iam.create_access_key(request).await.unwrap();
    let account = CreateAccount { name: "other".into(), mutation: cluster.mutation() };
    let root_key = cluster.iam.create_account(account).await.unwrap().key;
    let root = cluster.metanode.root_credentials().clone();
    // While the log is not merged, and after it was.
    for closed in [false, true] {
        if closed {
            cluster.metanode.close().await;
        }
        let bytes = bytes(directory.path());
        assert!(contains(&bytes, &key.access_key));
        for secret in [&key.secret_key, &root_key.secret_key, &root.secret_key] {
            assert!(!contains(&bytes, secret), "closed: {closed}");
        }
    }
}

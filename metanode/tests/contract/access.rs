//! What decides about access: repetitions of changes that begin an epoch, owners and ACLs of objects, what accounts configure, and
//! which principals exist.

use cairn_protocol::iam::{CreateAccount, CreateUser, DeleteAccount, HolderTags};
use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::{
    Account, AccountConfigurationRef, BucketRef, ConfigurationKind, CreateBucket, DeleteBucket,
    FIRST_ACCOUNT_ID, FIRST_CANONICAL_ID, FindPrincipals, ListEntry, ListObjects, LookupObject, LookupRange,
    MetadataError, ObjectAccess, PrincipalName, PutAccountConfiguration, PutBucketConfiguration,
    UpdateAccess,
};
use cairn_protocol::rpc::with_access_epoch;

use crate::cluster::Cluster;

contract! {
    a_repeated_change_gets_its_first_outcome_although_it_began_an_epoch,
    owner_and_acl_of_an_object_can_be_replaced_and_are_listed,
    an_account_configures_all_of_its_buckets,
    principals_that_exist_are_found_and_others_are_not,
}

fn mutation(cluster: &Cluster) -> Option<MutationId> {
    Some(MutationId(cluster.env.uuid_v7()))
}

fn named(bucket: &str) -> BucketRef {
    BucketRef { bucket: bucket.into() }
}

/// The answer is lost after the commit. The gateway repeats the change in the epoch in which it was authorised, which the change
/// itself has ended.
async fn a_repeated_change_gets_its_first_outcome_although_it_began_an_epoch(cluster: &Cluster) {
    cluster.bucket("b").await;
    let epoch = cluster.get_bucket_configurations(named("b")).await.unwrap().epoch;
    let put = PutBucketConfiguration {
        bucket: "b".into(),
        kind: ConfigurationKind::Policy,
        document: Some("{}".into()),
        expected_revision: Some(0),
        mutation: mutation(cluster),
    };
    let first =
        with_access_epoch(Some(epoch.0), cluster.put_bucket_configuration(put.clone())).await.unwrap();
    let again = with_access_epoch(Some(epoch.0), cluster.put_bucket_configuration(put.clone())).await;
    assert_eq!(again, Ok(first));
    let other = PutBucketConfiguration { mutation: mutation(cluster), ..put };
    let refused = with_access_epoch(Some(epoch.0), cluster.put_bucket_configuration(other)).await;
    assert!(matches!(refused, Err(MetadataError::AccessChanged { .. })), "{refused:?}");

    let epoch = cluster.get_bucket_configurations(named("b")).await.unwrap().epoch;
    let delete = DeleteBucket { bucket: "b".into(), mutation: mutation(cluster) };
    for _ in 0..2 {
        with_access_epoch(Some(epoch.0), cluster.delete_bucket(delete.clone())).await.unwrap();
    }
    let block = PutAccountConfiguration {
        account: FIRST_ACCOUNT_ID.into(),
        kind: ConfigurationKind::PublicAccessBlock,
        document: Some("{}".into()),
        mutation: mutation(cluster),
    };
    cluster.bucket("c").await;
    let epoch = cluster.get_bucket_configurations(named("c")).await.unwrap().epoch;
    for _ in 0..2 {
        with_access_epoch(Some(epoch.0), cluster.put_account_configuration(block.clone())).await.unwrap();
    }
}

async fn owner_and_acl_of_an_object_can_be_replaced_and_are_listed(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "e", &[5]).await;
    let owner = Account { id: "111122223333".into(), canonical_id: "c".into(), display_name: "o".into() };
    let access = ObjectAccess { owner: Some(owner.clone()), acl: Some("{}".into()) };
    let update = UpdateAccess {
        bucket: "b".into(),
        key: "k".into(),
        version: None,
        access: Some(Box::new(access.clone())),
        mutation: mutation(cluster),
    };
    cluster.update_access(update.clone()).await.unwrap();
    let shown = async || {
        let list = ListObjects { bucket: "b".into(), max: 10, ..ListObjects::default() };
        let page = cluster.list_objects(list).await.unwrap();
        let ListEntry::Object(object) = &page.entries[0] else { panic!("no object") };
        object.owner.clone()
    };
    assert_eq!(shown().await, Some(owner));
    let request = LookupObject {
        bucket: "b".into(),
        key: "k".into(),
        version: None,
        range: LookupRange::Whole,
        extents_max: 0,
    };
    let found = cluster.lookup_object(request).await.unwrap().object;
    assert_eq!((found.attributes.access.as_deref(), &*found.etag), (Some(&access), "e"));
    let plain = UpdateAccess { access: None, mutation: mutation(cluster), ..update.clone() };
    cluster.update_access(plain).await.unwrap();
    // A repetition does not bring back what was replaced since.
    cluster.update_access(update.clone()).await.unwrap();
    assert_eq!(shown().await, None);
    let missing = UpdateAccess { key: "none".into(), mutation: None, ..update };
    assert_eq!(cluster.update_access(missing).await, Err(MetadataError::NoSuchKey));
}

async fn an_account_configures_all_of_its_buckets(cluster: &Cluster) {
    let kind = ConfigurationKind::PublicAccessBlock;
    let made =
        cluster.iam.create_account(CreateAccount { name: "other".into(), mutation: None }).await.unwrap();
    let account = made.account.account;
    let create = CreateBucket { owner: account.clone(), ..CreateBucket::new("b", "r") };
    cluster.create_bucket(create).await.unwrap();
    let of = |account: &str| AccountConfigurationRef { account: account.into(), kind };
    assert_eq!(cluster.get_account_configuration(of(&account.id)).await, Ok(None));
    let before = cluster.get_bucket_configurations(named("b")).await.unwrap();
    assert_eq!(before.account_public_access_block, None);
    let put = |account: &str, document: Option<&str>| PutAccountConfiguration {
        account: account.into(),
        kind,
        document: document.map(str::to_owned),
        mutation: None,
    };
    cluster.put_account_configuration(put(&account.id, Some("{}"))).await.unwrap();
    let after = cluster.get_bucket_configurations(named("b")).await.unwrap();
    assert_eq!(after.account_public_access_block.as_deref(), Some("{}"));
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(cluster.get_account_configuration(of(FIRST_ACCOUNT_ID)).await, Ok(None));
    let unknown = cluster.put_account_configuration(put("999999999999", Some("{}"))).await;
    assert!(matches!(unknown, Err(MetadataError::Malformed { .. })), "{unknown:?}");
    let policy = PutAccountConfiguration { kind: ConfigurationKind::Policy, ..put(&account.id, Some("{}")) };
    assert!(cluster.put_account_configuration(policy).await.is_err());
    // Who owns buckets stays.
    let delete = || DeleteAccount { account: account.id.clone(), mutation: None };
    assert!(cluster.iam.delete_account(delete()).await.is_err());
    cluster.delete_bucket(DeleteBucket { bucket: "b".into(), mutation: None }).await.unwrap();
    cluster.iam.delete_account(delete()).await.unwrap();
    assert_eq!(cluster.get_account_configuration(of(&account.id)).await, Ok(None));
}

async fn principals_that_exist_are_found_and_others_are_not(cluster: &Cluster) {
    let user = CreateUser {
        account: FIRST_ACCOUNT_ID.into(),
        name: "Ann".into(),
        path: "/team/".into(),
        boundary: None,
        tags: HolderTags::default(),
        mutation: None,
    };
    cluster.iam.create_user(user).await.unwrap();
    let account = FIRST_ACCOUNT_ID.to_owned();
    let there = [
        PrincipalName::Account(account.clone()),
        PrincipalName::CanonicalUser(FIRST_CANONICAL_ID.into()),
        PrincipalName::User(account.clone(), "Ann".into()),
    ];
    let absent = [
        PrincipalName::Account("999999999999".into()),
        PrincipalName::CanonicalUser("0".repeat(64)),
        PrincipalName::User(account.clone(), "ann".into()),
        PrincipalName::User("999999999999".into(), "Ann".into()),
        PrincipalName::Role(account, "Ann".into()),
    ];
    let names = there.iter().chain(&absent).cloned().collect();
    let found = cluster.find_principals(FindPrincipals { names }).await.unwrap();
    assert_eq!(found.iter().map(|found| &found.name).collect::<Vec<_>>(), there.iter().collect::<Vec<_>>());
    assert_eq!(found[2].path, "/team/");
}

//! The epoch of access control changes with what can take access away.

use cairn_protocol::event::EventBus;
use cairn_protocol::metadata::AccessEpoch;

use super::*;
use crate::cluster::open;

contract! {
    what_can_take_access_away_advances_the_epoch_and_creations_do_not,
}

async fn epoch(cluster: &Cluster) -> AccessEpoch {
    let root = cluster.metanode.root_credentials().access_key.clone();
    cluster.found(&root).await.unwrap().epoch
}

async fn what_can_take_access_away_advances_the_epoch_and_creations_do_not(cluster: &Cluster) {
    let start = epoch(cluster).await;
    cluster.user("u").await;
    cluster.group("g").await;
    cluster.iam.create_role(new_role("r")).await.unwrap();
    cluster.iam.create_policy(new_policy("p", "s3:*")).await.unwrap();
    let keys = [cluster.key("u").await.access_key, cluster.key("u").await.access_key];
    assert!(is_limit(&cluster.iam.create_access_key(new_key("u")).await));
    assert_eq!(epoch(cluster).await, start);

    let user = holder(HolderKind::User, "u");
    let mut last = start;
    let mut changed = async |what: &str| {
        let now = epoch(cluster).await;
        assert_ne!(now, last, "{what}");
        last = now;
    };
    cluster.set_active("u", &keys[0], false).await;
    changed("a key was disabled").await;
    let key = DeleteAccessKey { owner: owner("u"), access_key: keys[1].clone(), mutation: None };
    cluster.iam.delete_access_key(key).await.unwrap();
    changed("a key was deleted").await;
    // A policy that is attached may deny.
    cluster.iam.attach_policy(attachment(user.clone(), "p")).await.unwrap();
    changed("a policy was attached").await;
    cluster.iam.detach_policy(attachment(user.clone(), "p")).await.unwrap();
    changed("a policy was detached").await;
    cluster.iam.put_inline_policy(inline(user.clone(), "i", document("s3:*"))).await.unwrap();
    changed("an inline policy was put").await;
    cluster.iam.add_group_member(membership("g", "u")).await.unwrap();
    changed("a user entered a group").await;
    cluster.iam.remove_group_member(membership("g", "u")).await.unwrap();
    changed("a user left a group").await;
    let boundary = PutBoundary { holder: user, policy: "p".into(), mutation: None };
    cluster.iam.put_boundary(boundary).await.unwrap();
    changed("a boundary was set").await;
    cluster.iam.delete_role(delete("r")).await.unwrap();
    changed("a role was deleted").await;

    // A refused change changes nothing.
    let before = epoch(cluster).await;
    assert!(is_conflict(&cluster.iam.delete_user(delete("u")).await));
    assert_eq!(epoch(cluster).await, before);
}

#[tokio::test]
async fn a_restarted_metanode_has_another_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::in_directory(directory.path()).await;
    let before = epoch(&cluster).await;
    cluster.metanode.close().await;
    let (env, root) = (cluster.env.clone(), cluster.metanode.root_credentials().access_key.clone());
    drop(cluster);
    let metanode = open(directory.path(), &env, &EventBus::new(env.clone())).await;
    let found = metanode.metadata().find_access_key(AccessKeyRef::long_term(root)).await.unwrap();
    assert_ne!(found.unwrap().epoch, before);
}

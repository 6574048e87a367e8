//! What a key's user may do: its own policies and those of its groups, and its boundary.

use super::*;

contract! {
    a_user_has_its_own_policies_and_those_of_its_groups,
}

async fn a_user_has_its_own_policies_and_those_of_its_groups(cluster: &Cluster) {
    cluster.user("u").await;
    cluster.user("stranger").await;
    cluster.group("g").await;
    cluster.group("other").await;
    let (user, group) = (holder(HolderKind::User, "u"), holder(HolderKind::Group, "g"));
    let key = cluster.key("u").await.access_key;
    let documents = async || {
        let mut documents = cluster.found(&key).await.unwrap().policies.documents;
        documents.sort();
        documents
    };
    assert_eq!(documents().await, Vec::<String>::new());

    cluster.iam.create_policy(new_policy("managed", "s3:2-attached")).await.unwrap();
    cluster.iam.create_policy(new_policy("of-group", "s3:4-attached-to-group")).await.unwrap();
    cluster.iam.put_inline_policy(inline(user.clone(), "i", document("s3:1-inline"))).await.unwrap();
    cluster.iam.attach_policy(attachment(user.clone(), "managed")).await.unwrap();
    cluster.iam.put_inline_policy(inline(group.clone(), "i", document("s3:3-of-group"))).await.unwrap();
    cluster.iam.attach_policy(attachment(group.clone(), "of-group")).await.unwrap();
    // A policy that applies twice is there once.
    cluster.iam.attach_policy(attachment(group, "managed")).await.unwrap();
    let other = holder(HolderKind::Group, "other");
    cluster.iam.put_inline_policy(inline(other, "i", document("s3:other"))).await.unwrap();
    cluster.iam.add_group_member(membership("other", "stranger")).await.unwrap();

    let own = [document("s3:1-inline"), document("s3:2-attached")];
    assert_eq!(documents().await, own);
    cluster.iam.add_group_member(membership("g", "u")).await.unwrap();
    let groups = [document("s3:3-of-group"), document("s3:4-attached-to-group")];
    assert_eq!(documents().await, [&own[..], &groups].concat());

    // The default version counts.
    let version = CreatePolicyVersion {
        policy: policy_ref("managed"),
        document: document("s3:2-new"),
        set_default: true,
        mutation: None,
    };
    cluster.iam.create_policy_version(version).await.unwrap();
    assert_eq!(documents().await[1], document("s3:2-new"));

    for (policy, part) in [("of-group", "s3:4-attached-to-group"), ("AmazonS3ReadOnlyAccess", "s3:List*")] {
        let boundary = PutBoundary { holder: user.clone(), policy: policy.into(), mutation: None };
        cluster.iam.put_boundary(boundary).await.unwrap();
        let found = cluster.found(&key).await.unwrap().policies.boundary.unwrap();
        assert!(found.contains(part), "{found}");
    }
    cluster.iam.attach_policy(attachment(user, "AdministratorAccess")).await.unwrap();
    assert!(documents().await.iter().any(|document| document.contains(r#""Action":"*""#)));
}

//! Managed and inline policies: versions, limits, and where they apply.

use super::*;

contract! {
    a_managed_policy_has_versions_of_which_one_applies,
    a_policy_that_applies_somewhere_is_not_deleted,
    policies_that_are_built_in_are_listed_and_never_changed,
    documents_have_limits_without_white_space,
    inline_policies_share_the_limit_of_their_holder,
    ten_managed_policies_are_attached_at_most,
    holders_of_a_policy_are_listed_in_pages,
}

async fn a_managed_policy_has_versions_of_which_one_applies(cluster: &Cluster) {
    let made = cluster
        .iam
        .create_policy(CreatePolicy { path: "/a/".into(), ..new_policy("p", "s3:v1") })
        .await
        .unwrap();
    assert_eq!((made.arn.as_str(), made.default_version), ("arn:aws:iam::000000000000:policy/a/p", 1));
    assert!(made.id.starts_with("ANPA"));
    for policy in ["P", &made.arn] {
        assert_eq!(cluster.iam.get_policy(policy_ref(policy)).await.unwrap(), made);
    }
    assert!(is_missing(&cluster.iam.get_policy(policy_ref("arn:aws:iam::000000000000:policy/p")).await));
    let add = |action: &str, set_default| CreatePolicyVersion {
        policy: policy_ref("p"),
        document: document(action),
        set_default,
        mutation: None,
    };
    for number in 2..=5 {
        let version = cluster.iam.create_policy_version(add("s3:later", number == 3)).await.unwrap();
        assert_eq!((version.version, version.is_default), (number, number == 3));
    }
    assert!(is_limit(&cluster.iam.create_policy_version(add("s3:six", false)).await));
    let change = |version| ChangePolicyVersion { policy: policy_ref("p"), version, mutation: None };
    assert!(is_conflict(&cluster.iam.delete_policy_version(change(3)).await));
    cluster.iam.delete_policy_version(change(5)).await.unwrap();
    assert!(is_missing(&cluster.iam.delete_policy_version(change(5)).await));
    // The number of a deleted version is not used again.
    assert_eq!(cluster.iam.create_policy_version(add("s3:six", false)).await.unwrap().version, 6);
    cluster.iam.set_default_policy_version(change(1)).await.unwrap();
    let default = PolicyVersionRef { policy: policy_ref("p"), version: None };
    let found = cluster.iam.get_policy_version(default).await.unwrap();
    assert_eq!((found.version, found.document), (1, Some(document("s3:v1"))));
    let versions = cluster.iam.list_policy_versions(policy_ref("p")).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [6, 4, 3, 2, 1]);
    assert!(versions.iter().all(|version| version.document.is_none()));
}

async fn a_policy_that_applies_somewhere_is_not_deleted(cluster: &Cluster) {
    cluster.iam.create_policy(new_policy("p", "s3:*")).await.unwrap();
    cluster.user("u").await;
    let user = holder(HolderKind::User, "u");
    let delete = DeletePolicy { policy: policy_ref("p"), mutation: None };
    cluster.iam.attach_policy(attachment(user.clone(), "p")).await.unwrap();
    assert!(is_conflict(&cluster.iam.delete_policy(delete.clone()).await));
    cluster.iam.detach_policy(attachment(user.clone(), "p")).await.unwrap();
    assert!(is_missing(&cluster.iam.detach_policy(attachment(user.clone(), "p")).await));
    let boundary = PutBoundary { holder: user.clone(), policy: "p".into(), mutation: None };
    cluster.iam.put_boundary(boundary).await.unwrap();
    assert_eq!(
        cluster.iam.get_user(entity("u")).await.unwrap().boundary.as_deref(),
        Some("arn:aws:iam::000000000000:policy/p")
    );
    assert!(is_conflict(&cluster.iam.delete_policy(delete.clone()).await));
    let removal = DeleteBoundary { holder: user, mutation: None };
    cluster.iam.delete_boundary(removal.clone()).await.unwrap();
    assert!(is_missing(&cluster.iam.delete_boundary(removal).await));
    let version = CreatePolicyVersion {
        policy: policy_ref("p"),
        document: document("s3:*"),
        set_default: true,
        mutation: None,
    };
    cluster.iam.create_policy_version(version).await.unwrap();
    assert!(is_conflict(&cluster.iam.delete_policy(delete.clone()).await));
    let old = ChangePolicyVersion { policy: policy_ref("p"), version: 1, mutation: None };
    cluster.iam.delete_policy_version(old).await.unwrap();
    cluster.iam.delete_policy(delete).await.unwrap();
    assert!(is_missing(&cluster.iam.get_policy(policy_ref("p")).await));
}

async fn policies_that_are_built_in_are_listed_and_never_changed(cluster: &Cluster) {
    cluster.iam.create_policy(new_policy("own", "s3:*")).await.unwrap();
    cluster.user("u").await;
    let user = holder(HolderKind::User, "u");
    cluster.iam.attach_policy(attachment(user.clone(), "IAMReadOnlyAccess")).await.unwrap();
    let list = async |scope, only_attached| {
        let request = ListPolicies {
            account: FIRST_ACCOUNT_ID.into(),
            scope,
            only_attached,
            path_prefix: String::new(),
            after: None,
            max: 10,
        };
        let page = cluster.iam.list_policies(request).await.unwrap();
        page.entries.into_iter().map(|policy| policy.name).collect::<Vec<_>>()
    };
    let aws = [
        "AdministratorAccess",
        "AmazonS3FullAccess",
        "AmazonS3ReadOnlyAccess",
        "IAMFullAccess",
        "IAMReadOnlyAccess",
    ];
    assert_eq!(list(PolicyScope::Aws, false).await, aws);
    assert_eq!(list(PolicyScope::Local, false).await, ["own"]);
    assert_eq!(list(PolicyScope::All, false).await, [&aws[..], &["own"]].concat());
    assert_eq!(list(PolicyScope::All, true).await, ["IAMReadOnlyAccess"]);
    let attached = cluster.iam.list_attached_policies(user).await.unwrap();
    assert_eq!(attached[0].arn, "arn:aws:iam::aws:policy/IAMReadOnlyAccess");
    let built_in = policy_ref("arn:aws:iam::aws:policy/AmazonS3FullAccess");
    let delete = DeletePolicy { policy: built_in.clone(), mutation: None };
    assert!(is_invalid(&cluster.iam.delete_policy(delete).await));
    let version = CreatePolicyVersion {
        policy: built_in.clone(),
        document: document("s3:*"),
        set_default: true,
        mutation: None,
    };
    assert!(is_invalid(&cluster.iam.create_policy_version(version).await));
    let found = cluster.iam.get_policy_version(PolicyVersionRef { policy: built_in, version: None }).await;
    assert!(found.unwrap().document.unwrap().contains("s3:*"));
}

/// A document of this many characters without white space, and some white space.
fn of_length(length: usize) -> String {
    format!("{{ \"Id\": \"{}\" }}   ", "x".repeat(length - 9))
}

async fn documents_have_limits_without_white_space(cluster: &Cluster) {
    let policy = |name: &str, document| CreatePolicy { document, ..new_policy(name, "") };
    cluster.iam.create_policy(policy("p", of_length(6144))).await.unwrap();
    assert!(is_limit(&cluster.iam.create_policy(policy("q", of_length(6145))).await));
    assert!(is_limit(&cluster.iam.create_policy(policy("q", " ".repeat(200_000))).await));
    for wrong in ["", "[]", "{"] {
        let refused = cluster.iam.create_policy(policy("q", wrong.into())).await;
        assert!(matches!(refused, Err(IamError::MalformedDocument { .. })), "{wrong}: {refused:?}");
    }
}

async fn inline_policies_share_the_limit_of_their_holder(cluster: &Cluster) {
    cluster.user("h").await;
    cluster.group("h").await;
    cluster.iam.create_role(new_role("h")).await.unwrap();
    for (kind, max) in [(HolderKind::User, 2048), (HolderKind::Group, 5120), (HolderKind::Role, 10_240)] {
        let put = async |name: &str, length| {
            cluster.iam.put_inline_policy(inline(holder(kind, "h"), name, of_length(length))).await
        };
        put("a", max - 100).await.unwrap();
        put("b", 100).await.unwrap();
        assert!(is_limit(&put("b", 101).await), "{kind}");
        assert!(is_limit(&put("c", 20).await), "{kind}");
        put("a", max - 101).await.unwrap();
        put("b", 101).await.unwrap();
        let names = cluster.iam.list_inline_policies(holder(kind, "h")).await.unwrap();
        assert_eq!(names, ["a", "b"]);
        let found = InlinePolicyRef { holder: holder(kind, "h"), name: "b".into() };
        assert_eq!(cluster.iam.get_inline_policy(found).await.unwrap().document, of_length(101));
    }
    assert!(is_invalid(
        &cluster.iam.put_inline_policy(inline(holder(HolderKind::User, "h"), "a b", of_length(20))).await
    ));
}

async fn ten_managed_policies_are_attached_at_most(cluster: &Cluster) {
    cluster.user("u").await;
    for number in 0..11 {
        let name = format!("p{number}");
        cluster.iam.create_policy(new_policy(&name, "s3:*")).await.unwrap();
        let outcome = cluster.iam.attach_policy(attachment(holder(HolderKind::User, "u"), &name)).await;
        assert_eq!(is_limit(&outcome), number == 10, "{outcome:?}");
    }
    cluster.iam.attach_policy(attachment(holder(HolderKind::User, "u"), "p0")).await.unwrap();
}

async fn holders_of_a_policy_are_listed_in_pages(cluster: &Cluster) {
    cluster.user("u").await;
    cluster.group("g").await;
    cluster.iam.create_policy(new_policy("p", "s3:*")).await.unwrap();
    let boundary = Some("p".to_owned());
    cluster.iam.create_role(CreateRole { boundary, ..new_role("r") }).await.unwrap();
    for holder in [holder(HolderKind::User, "u"), holder(HolderKind::Group, "g")] {
        cluster.iam.attach_policy(attachment(holder, "p")).await.unwrap();
    }
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let request = ListPolicyHolders { policy: policy_ref("p"), after, max: 2 };
        let page = cluster.iam.list_policy_holders(request).await.unwrap();
        found.extend(page.entries.into_iter().map(|entry| (entry.name, entry.attached, entry.boundary)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, [("u".into(), true, false), ("g".into(), true, false), ("r".into(), false, true)]);
    let policy = cluster.iam.get_policy(policy_ref("p")).await.unwrap();
    assert_eq!((policy.attachments, policy.boundaries), (2, 1));
}

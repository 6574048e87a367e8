//! Groups and their members.

use super::*;

contract! {
    users_enter_and_leave_groups,
    a_user_is_in_ten_groups_at_most,
    a_group_with_members_or_policies_is_not_deleted,
}

async fn members(cluster: &Cluster, after: Option<String>, max: u32) -> (Vec<String>, Option<String>) {
    let request = GetGroup { account: FIRST_ACCOUNT_ID.into(), name: "g".into(), after, max };
    let found = cluster.iam.get_group(request).await.unwrap().members;
    (found.entries.into_iter().map(|user| user.name).collect(), found.next)
}

async fn users_enter_and_leave_groups(cluster: &Cluster) {
    let group = cluster.group("g").await;
    assert!(group.id.starts_with("AGPA"));
    assert_eq!(group.arn, "arn:aws:iam::000000000000:group/g");
    for name in ["a", "B", "c"] {
        cluster.user(name).await;
        // The second time nothing happens.
        for _ in 0..2 {
            cluster.iam.add_group_member(membership("g", name)).await.unwrap();
        }
    }
    let (first, next) = members(cluster, None, 2).await;
    assert_eq!(first, ["a", "B"]);
    assert_eq!(members(cluster, next, 2).await, (vec!["c".into()], None));
    assert_eq!(cluster.iam.list_groups_of_user(entity("b")).await.unwrap(), [group]);
    cluster.iam.remove_group_member(membership("g", "b")).await.unwrap();
    assert!(is_missing(&cluster.iam.remove_group_member(membership("g", "b")).await));
    assert_eq!(cluster.iam.list_groups_of_user(entity("b")).await.unwrap(), []);
    assert!(is_missing(&cluster.iam.add_group_member(membership("g", "z")).await));
    assert!(is_missing(&cluster.iam.add_group_member(membership("z", "a")).await));
}

async fn a_user_is_in_ten_groups_at_most(cluster: &Cluster) {
    cluster.user("u").await;
    for number in 0..11 {
        let name = format!("g{number}");
        cluster.group(&name).await;
        let outcome = cluster.iam.add_group_member(membership(&name, "u")).await;
        assert_eq!(is_limit(&outcome), number == 10, "{outcome:?}");
    }
}

async fn a_group_with_members_or_policies_is_not_deleted(cluster: &Cluster) {
    cluster.group("g").await;
    cluster.user("u").await;
    cluster.iam.add_group_member(membership("g", "u")).await.unwrap();
    let refused = cluster.iam.delete_group(delete("g")).await.unwrap_err().to_string();
    assert!(refused.contains("members"), "{refused}");
    cluster.iam.remove_group_member(membership("g", "u")).await.unwrap();
    let group = holder(HolderKind::Group, "g");
    cluster.iam.attach_policy(attachment(group.clone(), "IAMFullAccess")).await.unwrap();
    assert!(is_conflict(&cluster.iam.delete_group(delete("g")).await));
    cluster.iam.detach_policy(attachment(group, "IAMFullAccess")).await.unwrap();
    cluster.iam.delete_group(delete("g")).await.unwrap();
}

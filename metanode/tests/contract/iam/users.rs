//! Users: names, listings, and what keeps one from being deleted.

use super::*;

contract! {
    a_user_is_created_found_renamed_and_deleted,
    names_are_the_same_whatever_their_case,
    listings_of_users_have_pages_and_path_prefixes,
    a_user_with_keys_policies_or_groups_is_not_deleted,
    a_repeated_creation_of_a_user_is_no_conflict,
    tags_are_added_replaced_and_removed,
}

async fn a_user_is_created_found_renamed_and_deleted(cluster: &Cluster) {
    let made = cluster.iam.create_user(CreateUser { path: "/a/".into(), ..new_user("alice") }).await.unwrap();
    assert_eq!(made.arn, "arn:aws:iam::000000000000:user/a/alice");
    assert!(made.id.starts_with("AIDA") && made.id.len() == 21, "{}", made.id);
    assert_eq!(cluster.iam.get_user(entity("alice")).await.unwrap(), made);
    cluster.user("bob").await;
    let update = |new_name: Option<&str>, new_path: Option<&str>| UpdateEntity {
        account: FIRST_ACCOUNT_ID.into(),
        name: "alice".into(),
        new_name: new_name.map(Into::into),
        new_path: new_path.map(Into::into),
        mutation: None,
    };
    let taken = cluster.iam.update_user(update(Some("BOB"), None)).await;
    assert!(matches!(taken, Err(IamError::EntityAlreadyExists { .. })), "{taken:?}");
    let moved = cluster.iam.update_user(update(Some("Alice"), Some("/"))).await.unwrap();
    assert_eq!((moved.name.as_str(), moved.path.as_str(), &moved.id), ("Alice", "/", &made.id));
    cluster.iam.delete_user(delete("alice")).await.unwrap();
    assert!(is_missing(&cluster.iam.get_user(entity("alice")).await));
    assert!(is_missing(&cluster.iam.delete_user(delete("alice")).await));
    assert_ne!(cluster.user("alice").await.id, made.id);
    let nowhere = CreateUser { account: "999999999999".into(), ..new_user("alice") };
    assert!(is_missing(&cluster.iam.create_user(nowhere).await));
}

async fn names_are_the_same_whatever_their_case(cluster: &Cluster) {
    cluster.user("Alice").await;
    let twice = cluster.iam.create_user(new_user("aLICE")).await;
    let expected = IamError::EntityAlreadyExists { kind: EntityKind::User, name: "aLICE".into() };
    assert_eq!(twice, Err(expected));
    assert_eq!(cluster.iam.get_user(entity("alice")).await.unwrap().name, "Alice");
    // A group may have the name of a user.
    cluster.group("alice").await;
    for wrong in ["", "a b", "a/b", &"x".repeat(65)] {
        assert!(is_invalid(&cluster.iam.create_user(new_user(wrong)).await), "{wrong}");
    }
    let path = CreateUser { path: "a".into(), ..new_user("c") };
    assert!(is_invalid(&cluster.iam.create_user(path).await));
}

async fn listings_of_users_have_pages_and_path_prefixes(cluster: &Cluster) {
    for (name, path) in [("a", "/x/"), ("B", "/"), ("c", "/x/y/"), ("d", "/xx/")] {
        cluster.iam.create_user(CreateUser { path: path.into(), ..new_user(name) }).await.unwrap();
    }
    let list = async |path_prefix: &str, after: Option<String>, max| {
        let account = FIRST_ACCOUNT_ID.into();
        let request = ListEntities { account, path_prefix: path_prefix.into(), after, max };
        let page = cluster.iam.list_users(request).await.unwrap();
        (page.entries.into_iter().map(|user| user.name).collect::<Vec<_>>(), page.next)
    };
    let (first, next) = list("", None, 3).await;
    assert_eq!((first, next.as_deref()), (vec!["a".to_owned(), "B".into(), "c".into()], Some("c")));
    assert_eq!(list("", next, 3).await, (vec!["d".into()], None));
    assert_eq!(list("/x/", None, 10).await, (vec!["a".into(), "c".into()], None));
    assert_eq!(list("/x%", None, 10).await, (vec![], None));
}

async fn a_user_with_keys_policies_or_groups_is_not_deleted(cluster: &Cluster) {
    cluster.user("u").await;
    cluster.group("g").await;
    let user = holder(HolderKind::User, "u");
    let key = cluster.key("u").await.access_key;
    cluster.iam.put_inline_policy(inline(user.clone(), "p", document("s3:*"))).await.unwrap();
    cluster.iam.attach_policy(attachment(user.clone(), "AmazonS3FullAccess")).await.unwrap();
    cluster.iam.add_group_member(membership("g", "u")).await.unwrap();
    let refused = cluster.iam.delete_user(delete("u")).await.unwrap_err().to_string();
    for tie in ["access keys", "inline policies", "attached policies", "group memberships"] {
        assert!(refused.contains(tie), "{refused}");
    }
    cluster
        .iam
        .delete_access_key(DeleteAccessKey { owner: owner("u"), access_key: key, mutation: None })
        .await
        .unwrap();
    assert!(is_conflict(&cluster.iam.delete_user(delete("u")).await));
    let policy = DeleteInlinePolicy { holder: user.clone(), name: "p".into(), mutation: None };
    cluster.iam.delete_inline_policy(policy).await.unwrap();
    assert!(is_conflict(&cluster.iam.delete_user(delete("u")).await));
    cluster.iam.detach_policy(attachment(user, "AmazonS3FullAccess")).await.unwrap();
    assert!(is_conflict(&cluster.iam.delete_user(delete("u")).await));
    cluster.iam.remove_group_member(membership("g", "u")).await.unwrap();
    cluster.iam.delete_user(delete("u")).await.unwrap();
}

async fn a_repeated_creation_of_a_user_is_no_conflict(cluster: &Cluster) {
    let request = CreateUser { mutation: cluster.mutation(), ..new_user("u") };
    let made = cluster.iam.create_user(request.clone()).await.unwrap();
    assert_eq!(cluster.iam.create_user(request.clone()).await.unwrap(), made);
    let deletion = DeleteEntity { mutation: cluster.mutation(), ..delete("u") };
    cluster.iam.delete_user(deletion.clone()).await.unwrap();
    let again = cluster.user("u").await;
    // The repeated deletion does not delete the next user of the name.
    cluster.iam.delete_user(deletion).await.unwrap();
    assert_eq!(cluster.iam.get_user(entity("u")).await.unwrap(), again);
}

async fn tags_are_added_replaced_and_removed(cluster: &Cluster) {
    cluster.user("u").await;
    let user = holder(HolderKind::User, "u");
    let tag = |pairs: &[(&str, &str)]| TagHolder {
        holder: user.clone(),
        tags: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        mutation: None,
    };
    cluster.iam.tag_holder(tag(&[("a", "1"), ("b", "1")])).await.unwrap();
    cluster.iam.tag_holder(tag(&[("b", "2"), ("c", "")])).await.unwrap();
    let untag = UntagHolder { holder: user.clone(), keys: vec!["a".into(), "z".into()], mutation: None };
    cluster.iam.untag_holder(untag).await.unwrap();
    let tags = cluster.iam.get_user(entity("u")).await.unwrap().tags;
    assert_eq!(tags, HolderTags::from([("b".into(), "2".into()), ("c".into(), String::new())]));
    assert!(is_invalid(&cluster.iam.tag_holder(tag(&[("", "1")])).await));
    let many: Vec<_> = (0..49).map(|number| format!("k{number}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), "")).collect();
    assert!(is_limit(&cluster.iam.tag_holder(tag(&many)).await));
    let group = TagHolder { holder: holder(HolderKind::Group, "g"), ..tag(&[("a", "1")]) };
    assert!(is_invalid(&cluster.iam.tag_holder(group).await));
}

//! Roles, and how STS will find them.

use cairn_protocol::metadata::{Identity, RoleRef};

use super::*;

contract! {
    a_role_is_created_changed_found_and_deleted,
}

async fn a_role_is_created_changed_found_and_deleted(cluster: &Cluster) {
    let made = cluster.iam.create_role(new_role("r")).await.unwrap();
    assert!(made.id.starts_with("AROA"));
    let longest = UpdateRole {
        account: FIRST_ACCOUNT_ID.into(),
        name: "r".into(),
        description: None,
        session_s_max: Some(SESSION_S_MAX),
        mutation: None,
    };
    let updated = cluster.iam.update_role(longest.clone()).await.unwrap();
    assert_eq!(updated, Role { session_s_max: SESSION_S_MAX, ..made.clone() });
    for wrong in [SESSION_S_MIN - 1, SESSION_S_MAX + 1] {
        let update = UpdateRole { session_s_max: Some(wrong), ..longest.clone() };
        assert!(is_invalid(&cluster.iam.update_role(update).await));
        let creation = CreateRole { session_s_max: wrong, ..new_role("other") };
        assert!(is_invalid(&cluster.iam.create_role(creation).await));
    }
    let trust = UpdateRoleTrust {
        account: FIRST_ACCOUNT_ID.into(),
        name: "r".into(),
        trust: document("sts:other"),
        mutation: None,
    };
    cluster.iam.update_role_trust(trust).await.unwrap();
    let role = holder(HolderKind::Role, "r");
    cluster.iam.put_inline_policy(inline(role.clone(), "p", document("s3:inline"))).await.unwrap();
    let find = async |role: &str| {
        let account = FIRST_ACCOUNT_ID.into();
        cluster.find_role(RoleRef { account, role: role.into() }).await.unwrap()
    };
    for by in ["r", &made.id] {
        let found = find(by).await.unwrap();
        assert!(matches!(&found.identity, Identity::Role { id, .. } if *id == made.id));
        assert_eq!((found.trust.as_str(), found.session_s_max), (&*document("sts:other"), SESSION_S_MAX));
        assert_eq!(found.policies.documents, [document("s3:inline")]);
    }
    assert_eq!(find("other").await, None);
    assert!(is_conflict(&cluster.iam.delete_role(delete("r")).await));
    let policy = DeleteInlinePolicy { holder: role, name: "p".into(), mutation: None };
    cluster.iam.delete_inline_policy(policy).await.unwrap();
    cluster.iam.delete_role(delete("r")).await.unwrap();
    assert_eq!(find("r").await, None);
}

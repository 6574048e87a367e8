//! Providers of OpenID Connect.

use super::*;

contract! {
    a_provider_is_created_changed_and_deleted,
}

async fn a_provider_is_created_changed_and_deleted(cluster: &Cluster) {
    let account = || FIRST_ACCOUNT_ID.to_owned();
    let create = |url: &str| CreateOidcProvider {
        account: account(),
        url: url.into(),
        client_ids: vec!["sts.amazonaws.com".into()],
        thumbprints: vec!["0".repeat(40)],
        mutation: None,
    };
    for wrong in ["http://a", "https://", "https://a?b", "https://a b"] {
        assert!(is_invalid(&cluster.iam.create_oidc_provider(create(wrong)).await), "{wrong}");
    }
    let made = cluster.iam.create_oidc_provider(create("https://id.example/realms/a")).await.unwrap();
    assert_eq!(made.arn, "arn:aws:iam::000000000000:oidc-provider/id.example/realms/a");
    let twice = cluster.iam.create_oidc_provider(create("https://id.example/realms/a/")).await;
    assert!(matches!(twice, Err(IamError::EntityAlreadyExists { .. })), "{twice:?}");
    let update = |thumbprints| UpdateOidcProvider {
        account: account(),
        url: made.url.clone(),
        client_ids: Some(vec!["other".into()]),
        thumbprints,
        mutation: None,
    };
    assert!(is_invalid(&cluster.iam.update_oidc_provider(update(Some(vec!["zz".into()]))).await));
    let updated = cluster.iam.update_oidc_provider(update(None)).await.unwrap();
    assert_eq!(updated, OidcProvider { client_ids: vec!["other".into()], ..made.clone() });
    let reference = OidcProviderRef { account: account(), url: made.url.clone() };
    assert_eq!(cluster.iam.get_oidc_provider(reference).await.unwrap(), updated);
    // An ARN names it without the scheme.
    let by_arn = OidcProviderRef { account: account(), url: "id.example/realms/a".into() };
    assert_eq!(cluster.iam.get_oidc_provider(by_arn).await.unwrap(), updated);
    // A provider on this machine may speak plain HTTP.
    let local = cluster.iam.create_oidc_provider(create("http://127.0.0.1:8080/a")).await.unwrap();
    assert_eq!(local.arn, "arn:aws:iam::000000000000:oidc-provider/127.0.0.1:8080/a");
    let by_arn = OidcProviderRef { account: account(), url: "127.0.0.1:8080/a".into() };
    assert_eq!(cluster.iam.get_oidc_provider(by_arn).await.unwrap(), local);
    let delete = DeleteOidcProvider { account: account(), url: "127.0.0.1:8080/a".into(), mutation: None };
    cluster.iam.delete_oidc_provider(delete).await.unwrap();
    let delete = DeleteOidcProvider { account: account(), url: made.url, mutation: None };
    cluster.iam.delete_oidc_provider(delete.clone()).await.unwrap();
    assert!(is_missing(&cluster.iam.delete_oidc_provider(delete).await));
    let left = cluster.iam.list_oidc_providers(AccountRef { account: account() }).await.unwrap();
    assert_eq!(left, []);
}

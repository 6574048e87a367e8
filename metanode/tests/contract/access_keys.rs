//! The secrets of access keys: known keys have one, unknown keys have none.

use cairn_protocol::metadata::*;

use crate::cluster::Cluster;

contract! {
    a_known_access_key_has_a_secret_and_no_other_has_one,
}

async fn a_known_access_key_has_a_secret_and_no_other_has_one(cluster: &Cluster) {
    let root = cluster.root_credentials(RootCredentialsRequest {}).await.unwrap();
    let find = |access_key: &str| cluster.find_access_key(AccessKeyRef::long_term(access_key));
    let found = find(&root.access_key).await.unwrap();
    assert_eq!(found.as_ref().map(|found| &found.secret_key), Some(&root.secret_key));
    assert!(!format!("{found:?}").contains(&root.secret_key));
    for stranger in ["", "STRANGER", &root.access_key.to_lowercase(), &root.access_key[1..]] {
        assert_eq!(find(stranger).await.unwrap(), None, "{stranger}");
    }
}

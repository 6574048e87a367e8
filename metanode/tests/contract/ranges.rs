//! How ranges are resolved to bytes: RFC 9110, section 14, and S3's `partNumber`.

use cairn_protocol::metadata::*;

use crate::cluster::Cluster;

contract! {
    ranges_of_an_object,
    ranges_of_an_empty_object,
    parts_of_an_object_that_was_put_whole,
    parts_of_a_multipart_object,
}

async fn resolve(cluster: &Cluster, key: &str, range: LookupRange) -> Result<ResolvedRange, MetadataError> {
    Ok(cluster.get("b", key, range).await?.range)
}

fn some(start: u64, end: u64) -> Result<ResolvedRange, MetadataError> {
    Ok(ResolvedRange::Satisfiable { start, end })
}

const NONE: Result<ResolvedRange, MetadataError> = Ok(ResolvedRange::Unsatisfiable);

async fn ranges_of_an_object(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "e", &[10, 10, 10]).await;
    let bytes = |first, last| LookupRange::Bytes { first, last };
    assert_eq!(resolve(cluster, "k", LookupRange::Whole).await, some(0, 30));
    assert_eq!(resolve(cluster, "k", bytes(0, Some(0))).await, some(0, 1));
    assert_eq!(resolve(cluster, "k", bytes(9, Some(10))).await, some(9, 11));
    assert_eq!(resolve(cluster, "k", bytes(29, Some(1000))).await, some(29, 30));
    assert_eq!(resolve(cluster, "k", bytes(7, None)).await, some(7, 30));
    assert_eq!(resolve(cluster, "k", bytes(30, None)).await, NONE);
    assert_eq!(resolve(cluster, "k", LookupRange::Suffix { length: 4 }).await, some(26, 30));
    assert_eq!(resolve(cluster, "k", LookupRange::Suffix { length: 31 }).await, some(0, 30));
    assert_eq!(resolve(cluster, "k", LookupRange::Suffix { length: 0 }).await, NONE);
    let backwards = resolve(cluster, "k", bytes(5, Some(4))).await;
    assert!(matches!(backwards, Err(MetadataError::Malformed { .. })));
    // An unsatisfiable range still returns the object, but none of its blocks.
    let found = cluster.get("b", "k", bytes(30, None)).await.unwrap();
    assert_eq!((found.object.length, found.extents.len(), found.more), (30, 0, false));
    let found = cluster.get("b", "k", bytes(9, Some(10))).await.unwrap();
    assert_eq!(found.extents.iter().map(|extent| extent.object_offset).collect::<Vec<_>>(), [0, 10]);
}

async fn ranges_of_an_empty_object(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "e", &[]).await;
    assert_eq!(resolve(cluster, "k", LookupRange::Whole).await, some(0, 0));
    assert_eq!(resolve(cluster, "k", LookupRange::Part { number: 1 }).await, some(0, 0));
    assert_eq!(resolve(cluster, "k", LookupRange::Bytes { first: 0, last: None }).await, NONE);
    assert_eq!(resolve(cluster, "k", LookupRange::Suffix { length: 1 }).await, NONE);
}

async fn parts_of_an_object_that_was_put_whole(cluster: &Cluster) {
    cluster.bucket("b").await;
    cluster.put("b", "k", "e", &[10]).await;
    assert_eq!(resolve(cluster, "k", LookupRange::Part { number: 1 }).await, some(0, 10));
    let missing = Err(MetadataError::NoSuchPart { parts: 1 });
    assert_eq!(resolve(cluster, "k", LookupRange::Part { number: 2 }).await, missing);
}

async fn parts_of_a_multipart_object(cluster: &Cluster) {
    cluster.bucket("b").await;
    let upload = cluster.begin("b", "k").await;
    let mut parts = Vec::new();
    for (number, lengths) in [(2, &[10, 5][..]), (5, &[]), (7, &[1])] {
        parts.push(cluster.add(&upload, number, lengths).await);
    }
    cluster.complete_upload(cluster.completion(&upload, &parts)).await.unwrap();
    assert_eq!(resolve(cluster, "k", LookupRange::Part { number: 2 }).await, some(0, 15));
    assert_eq!(resolve(cluster, "k", LookupRange::Part { number: 5 }).await, some(15, 15));
    assert_eq!(resolve(cluster, "k", LookupRange::Part { number: 7 }).await, some(15, 16));
    let missing = Err(MetadataError::NoSuchPart { parts: 3 });
    assert_eq!(resolve(cluster, "k", LookupRange::Part { number: 1 }).await, missing);
}

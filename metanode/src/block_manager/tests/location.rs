//! Finding the bytes of a key.

use cairn_protocol::admin::{Admin, AdminError, NodeState, WhereRequest};
use cairn_protocol::metadata::{
    Metadata, ReplicaProblem, ReplicaReport, SetVersioning, VersionName, Versioning,
};

use super::super::admin::location::locate_within;
use super::support::{FIRST, TestStore};

fn at(bucket: &str, key: &str, version: Option<VersionName>) -> WhereRequest {
    WhereRequest { bucket: bucket.to_owned(), key: key.to_owned(), version }
}

#[tokio::test]
async fn every_extent_is_returned_with_its_block_and_all_replicas() {
    let mut store = TestStore::new(3).await;
    let (version, blocks) = store.put(FIRST, "a", &[10, 20]).await;
    store.copy(version, FIRST, "b", None).await;
    store.cluster.beat_all().await;
    let report =
        ReplicaReport { block: blocks[1], node: store.cluster.nodes[2].id, problem: ReplicaProblem::Corrupt };
    store.cluster.blocks.report_replica(report).await.unwrap();
    store.cluster.down(0);
    store.cluster.clock.advance(store.cluster.config.stale_after + store.cluster.config.heartbeat_interval);
    store.cluster.beat_all().await;
    store.cluster.notice_lost_contact().await;

    let place = store.cluster.blocks.locate_object(at(FIRST, "a", None)).await.unwrap();
    assert_eq!((place.version, place.length), (version, 30));
    let extents: Vec<_> = place
        .extents
        .iter()
        .map(|extent| (extent.offset, extent.length, extent.block, extent.block_offset, extent.block_length))
        .collect();
    assert_eq!(extents, [(0, 10, blocks[0], 0, 10), (10, 20, blocks[1], 0, 20)]);
    for extent in &place.extents {
        // The two objects share a list, which refers to the block.
        assert_eq!((extent.crc32c, extent.replication, extent.references), (77, 3, 1));
        assert_eq!(extent.replicas.len(), 3);
        for replica in &extent.replicas {
            let index = store.cluster.nodes.iter().position(|node| node.id == replica.node).unwrap();
            assert_eq!(replica.address, format!("http://node-{index}"));
            assert_eq!(replica.state, if index == 0 { NodeState::Stale } else { NodeState::Live });
            assert_eq!(replica.good, !(index == 2 && extent.block == blocks[1]));
        }
    }
}

#[tokio::test]
async fn a_version_is_found_by_its_id_and_only_under_its_own_key() {
    let mut store = TestStore::new(1).await;
    store.make_bucket("other").await;
    let enabled = SetVersioning { bucket: FIRST.to_owned(), versioning: Versioning::Enabled, mutation: None };
    store.namespace.set_versioning(enabled).await.unwrap();
    store.put(FIRST, "a", &[10]).await;
    let first = store.name("a").await;
    store.put(FIRST, "a", &[20]).await;
    let second = store.name("a").await;
    let length = async |request| store.cluster.blocks.locate_object(request).await.map(|place| place.length);
    assert_eq!(length(at(FIRST, "a", None)).await, Ok(20));
    assert_eq!(length(at(FIRST, "a", Some(second))).await, Ok(20));
    assert_eq!(length(at(FIRST, "a", Some(first))).await, Ok(10));
    let no_key = |bucket: &str| Err(AdminError::NoSuchKey { bucket: bucket.to_owned() });
    assert_eq!(length(at(FIRST, "b", Some(first))).await, no_key(FIRST));
    assert_eq!(length(at("other", "a", Some(first))).await, no_key("other"));
    assert_eq!(length(at(FIRST, "b", None)).await, no_key(FIRST));
    let no_bucket = Err(AdminError::NoSuchBucket { bucket: "none".to_owned() });
    assert_eq!(length(at("none", "a", None)).await, no_bucket);
}

#[tokio::test]
async fn an_object_of_tens_of_thousands_of_extents_is_returned_whole_or_refused() {
    let mut store = TestStore::new(3).await;
    store.put(FIRST, "a", &[1, 29_999]).await;
    // The same block, byte by byte: 30,000 extents.
    store
        .sql(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < 29999)
         INSERT INTO list_entries (list_id, place, block_id, start, length, checksum)
             SELECT list_id, n + 1, block_id, n, 1, 0 FROM list_entries, numbers WHERE place = 1",
        )
        .await;
    store.sql("UPDATE list_entries SET length = 1 WHERE length > 1").await;
    store.sql("UPDATE blocks SET refs = 29999 WHERE length > 1").await;
    store.cluster.verify().await;
    let place = store.cluster.blocks.locate_object(at(FIRST, "a", None)).await.unwrap();
    assert_eq!(place.extents.len(), 30_000);
    assert!(place.extents.windows(2).all(|pair| pair[0].offset + 1 == pair[1].offset));
    assert!(serde_json::to_vec(&place).unwrap().len() <= cairn_protocol::rpc::MESSAGE_LENGTH_MAX);

    let refused =
        locate_within(&store.cluster.blocks.inner, at(FIRST, "a", None), 1 << 20).await.unwrap_err();
    let AdminError::Refused { reason } = refused else { panic!("{refused}") };
    assert!(reason.contains("more extents than one answer holds"), "{reason}");
}

#[tokio::test]
async fn a_replica_on_a_node_that_never_registered_is_shown_as_dead() {
    let mut store = TestStore::new(1).await;
    store.put(FIRST, "a", &[10]).await;
    // It never registered; its row was made of a replica of an earlier release.
    store
        .sql(
            "INSERT INTO nodes VALUES (9, x'00000000000000000000000000000009', '', NULL, 0, '[]', '', 0, 0, NULL, 0)",
        )
        .await;
    store.sql("UPDATE replicas SET node = 9").await;
    let place = store.cluster.blocks.locate_object(at(FIRST, "a", None)).await.unwrap();
    let replica = &place.extents[0].replicas[0];
    assert_eq!((replica.state, replica.address.as_str()), (NodeState::Dead, ""));
}

//! ListObjects and ListObjectsV2.

use cairn_gateway::xml::Element;

use crate::support::{Call, Store, texts};

async fn with(keys: &[&str]) -> Store {
    let store = Store::start().await;
    for key in keys {
        let path = format!("/bucket/{}", cairn_gateway::uri::encode(key.as_bytes(), true));
        store.client.send(Call::put(&path)).await.expect(200);
    }
    store
}

async fn list(store: &Store, query: &str) -> Element {
    store.client.send(Call::get(&format!("/bucket?{query}"))).await.expect(200).xml("ListBucketResult")
}

fn keys(page: &Element) -> Vec<String> {
    texts(page, &["Contents", "Key"])
}

fn prefixes(page: &Element) -> Vec<String> {
    texts(page, &["CommonPrefixes", "Prefix"])
}

#[tokio::test]
async fn keys_come_in_the_order_of_their_bytes() {
    let store = with(&["b", "a", "é", "B", "a/b", "a!", "🦀", "z"]).await;
    for query in ["list-type=2", ""] {
        assert_eq!(keys(&list(&store, query).await), ["B", "a", "a!", "a/b", "b", "z", "é", "🦀"]);
    }
}

#[tokio::test]
async fn an_entry_has_the_fields_of_s3() {
    let store = with(&["key"]).await;
    let page = list(&store, "list-type=2&fetch-owner=true&prefix=k&start-after=a").await;
    for (name, value) in [
        ("Name", "bucket"),
        ("Prefix", "k"),
        ("MaxKeys", "1000"),
        ("KeyCount", "1"),
        ("IsTruncated", "false"),
        ("StartAfter", "a"),
    ] {
        assert_eq!(texts(&page, &[name]), [value], "{name}");
    }
    for (name, value) in [
        ("LastModified", "2026-01-02T03:04:05.000Z"),
        ("ETag", "\"d41d8cd98f00b204e9800998ecf8427e\""),
        ("Size", "0"),
        ("StorageClass", "STANDARD"),
        ("ChecksumAlgorithm", "CRC64NVME"),
        ("ChecksumType", "FULL_OBJECT"),
    ] {
        assert_eq!(texts(&page, &["Contents", name]), [value], "{name}");
    }
    assert_eq!(texts(&page, &["Contents", "Owner", "ID"]).len(), 1);
    let without = list(&store, "list-type=2").await;
    assert!(texts(&without, &["Contents", "Owner", "ID"]).is_empty());
}

const TREE: [&str; 8] = ["a/1", "a/2", "a/b/3", "b", "c/4", "c//5", "d-6", "e/"];

#[tokio::test]
async fn a_delimiter_groups_keys_into_common_prefixes() {
    let store = with(&TREE).await;
    let page = list(&store, "list-type=2&delimiter=/").await;
    assert_eq!(
        (keys(&page), prefixes(&page)),
        (vec!["b".into(), "d-6".into()], vec!["a/".into(), "c/".into(), "e/".into()])
    );
    assert_eq!(texts(&page, &["KeyCount"]), ["5"]);
    let page = list(&store, "list-type=2&delimiter=/&prefix=a/").await;
    assert_eq!((keys(&page), prefixes(&page)), (vec!["a/1".into(), "a/2".into()], vec!["a/b/".into()]));
    let page = list(&store, "list-type=2&delimiter=//").await;
    assert_eq!(prefixes(&page), ["c//"]);
    let page = list(&store, "delimiter=-&prefix=d").await;
    assert_eq!(prefixes(&page), ["d-"]);
}

/// Lists all pages with both versions of the operation and several page sizes. Each listing must have the same entries, each
/// once.
#[tokio::test]
async fn pages_together_have_each_entry_once() {
    let store = with(&TREE).await;
    for delimiter in ["", "&delimiter=/"] {
        let whole = list(&store, &format!("list-type=2{delimiter}")).await;
        let mut wanted = [keys(&whole), prefixes(&whole)].concat();
        wanted.sort();
        for max in 1..4 {
            let (mut v2, mut token) = (Vec::new(), String::new());
            loop {
                let page = list(&store, &format!("list-type=2{delimiter}&max-keys={max}{token}")).await;
                v2.extend([keys(&page), prefixes(&page)].concat());
                match texts(&page, &["NextContinuationToken"]).first() {
                    Some(next) => token = format!("&continuation-token={next}"),
                    None => break,
                }
                assert_eq!(texts(&page, &["KeyCount"]), [max.to_string()]);
            }
            v2.sort();
            assert_eq!(v2, wanted, "V2 {delimiter} {max}");

            let (mut v1, mut marker) = (Vec::new(), String::new());
            loop {
                let page = list(&store, &format!("max-keys={max}{delimiter}{marker}")).await;
                v1.extend([keys(&page), prefixes(&page)].concat());
                if texts(&page, &["IsTruncated"]) == ["false"] {
                    break;
                }
                let next = texts(&page, &["NextMarker"]).first().or(keys(&page).last()).unwrap().clone();
                marker = format!("&marker={next}");
            }
            v1.sort();
            assert_eq!(v1, wanted, "V1 {delimiter} {max}");
        }
    }
}

#[tokio::test]
async fn a_listing_begins_after_start_after_or_marker() {
    let store = with(&TREE).await;
    assert_eq!(keys(&list(&store, "list-type=2&start-after=c/4").await), ["d-6", "e/"]);
    assert_eq!(keys(&list(&store, "marker=d-6").await), ["e/"]);
    assert!(keys(&list(&store, "list-type=2&start-after=zzz").await).is_empty());
}

#[tokio::test]
async fn wrong_parameters_have_their_errors() {
    let store = with(&["key"]).await;
    for query in [
        "list-type=2&max-keys=-1",
        "list-type=2&max-keys=x",
        "list-type=2&encoding-type=base64",
        "list-type=2&continuation-token=nonsense",
        "list-type=2&continuation-token=",
        "list-type=2&fetch-owner=maybe",
        "prefix=a&prefix=b",
    ] {
        store.client.send(Call::get(&format!("/bucket?{query}"))).await.fails(400, "InvalidArgument");
    }
    let none = list(&store, "list-type=2&max-keys=0").await;
    assert_eq!((texts(&none, &["IsTruncated"]), keys(&none).len()), (vec!["false".to_owned()], 0));
    store.client.send(Call::get("/nobody?list-type=2")).await.fails(404, "NoSuchBucket");
    store.client.send(Call::get("/nobody?list-type=2&max-keys=0")).await.fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn every_object_is_its_only_version() {
    let store = with(&["a", "b/1", "b/2", "c"]).await;
    let versions = async |query: &str| {
        let reply = store.client.send(Call::get(&format!("/bucket?versions{query}"))).await.expect(200);
        reply.xml("ListVersionsResult")
    };
    let page = versions("&delimiter=/&max-keys=2").await;
    assert_eq!(texts(&page, &["Version", "Key"]), ["a"]);
    assert_eq!(texts(&page, &["Version", "VersionId"]), ["null"]);
    assert_eq!(texts(&page, &["Version", "IsLatest"]), ["true"]);
    assert_eq!(prefixes(&page), ["b/"]);
    assert_eq!(texts(&page, &["NextKeyMarker"]), ["b/"]);
    let page = versions("&delimiter=/&key-marker=b/").await;
    assert_eq!(texts(&page, &["Version", "Key"]), ["c"]);
    let page = versions("&max-keys=1&key-marker=b/1&version-id-marker=null").await;
    assert_eq!(
        (texts(&page, &["Version", "Key"]), texts(&page, &["NextVersionIdMarker"])),
        (vec!["b/2".to_owned()], vec!["null".to_owned()])
    );
    store
        .client
        .send(Call::get("/bucket?versions&version-id-marker=null"))
        .await
        .fails(400, "InvalidArgument");
}

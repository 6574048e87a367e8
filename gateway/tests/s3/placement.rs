//! Storage classes and block sizes that clients request, and the errors when an object cannot be stored.

use cairn_metanode::block_manager::BlockManagerConfig;
use cairn_protocol::admin::{ObjectPlace, WhereRequest};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::VersionId;
use cairn_protocol::metadata::{CommitObject, ObjectAttributes, Tags, WriteCondition};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{BUCKET, Body, Call, Setup, Store, texts};

const KIB: usize = 1 << 10;

async fn place(store: &Store, key: &str) -> ObjectPlace {
    let request = WhereRequest { bucket: BUCKET.to_owned(), key: key.to_owned(), version: None };
    store.metanode.admin().locate_object(request).await.unwrap()
}

/// The lengths of an object's blocks.
async fn lengths(store: &Store, key: &str) -> Vec<u64> {
    place(store, key).await.extents.iter().map(|extent| extent.block_length).collect()
}

fn with_class() -> Setup {
    let mut blocks = BlockManagerConfig::default();
    blocks.storage_classes.insert("ARCHIVE_ONE".to_owned(), 1);
    Setup { blocks, datanodes: 3, ..Setup::default() }
}

#[tokio::test]
async fn a_class_of_the_configuration_is_kept_shown_and_has_its_copies() {
    let store = Store::of(with_class()).await;
    let put = |key: &str, class: &str| {
        let call = Call::put(&format!("/{BUCKET}/{key}")).header("x-amz-storage-class", class);
        store.client.send(call.body("body"))
    };
    for (key, class, copies) in
        [("one", "ARCHIVE_ONE", 1), ("two", "REDUCED_REDUNDANCY", 2), ("three", "STANDARD_IA", 3)]
    {
        put(key, class).await.expect(200);
        let head = store.client.send(Call::head(&format!("/{BUCKET}/{key}"))).await.expect(200);
        assert_eq!(head.header("x-amz-storage-class"), class);
        assert_eq!(place(&store, key).await.extents[0].replication, copies, "{class}");
    }
    let list = store.client.send(Call::get(&format!("/{BUCKET}?list-type=2"))).await.expect(200);
    let classes = texts(&list.xml("ListBucketResult"), &["Contents", "StorageClass"]);
    assert_eq!(classes, ["ARCHIVE_ONE", "STANDARD_IA", "REDUCED_REDUNDANCY"]);
}

#[tokio::test]
async fn an_unknown_class_is_refused_and_nothing_is_stored() {
    let store = Store::of(with_class()).await;
    store.client.send(Call::put(&format!("/{BUCKET}/source")).body("body")).await.expect(200);
    let object = format!("/{BUCKET}/key");
    for class in ["ARCHIVE_TWO", "archive_one", "", "A B"] {
        for call in [
            Call::put(&object).body("body"),
            Call::put(&object),
            Call::put(&object).header("x-amz-copy-source", &format!("/{BUCKET}/source")),
            Call::post(&format!("{object}?uploads")),
        ] {
            let reply = store.client.send(call.header("x-amz-storage-class", class)).await;
            let reply = reply.fails(400, "InvalidStorageClass");
            assert_eq!(reply.error("StorageClassRequested").as_deref(), Some(class));
        }
    }
    store.client.send(Call::head(&object)).await.expect(404);
    let uploads = store.client.send(Call::get(&format!("/{BUCKET}?uploads"))).await.expect(200);
    assert!(texts(&uploads.xml("ListMultipartUploadsResult"), &["Upload", "Key"]).is_empty());
}

/// Cairn accepted GLACIER and DEEP_ARCHIVE and showed them. It cannot restore objects, so `aws s3 cp` skipped such objects
/// for ever.
#[tokio::test]
async fn a_class_that_needs_a_restore_is_refused_unless_the_configuration_defines_it() {
    let mut setup = with_class();
    setup.blocks.storage_classes.insert("DEEP_ARCHIVE".to_owned(), 2);
    let store = Store::of(setup).await;
    let client = &store.client;
    client.send(Call::put(&format!("/{BUCKET}/source")).body("body")).await.expect(200);
    let object = format!("/{BUCKET}/key");
    for call in [
        Call::put(&object).body("body"),
        Call::put(&object).header("x-amz-copy-source", &format!("/{BUCKET}/source")),
        Call::post(&format!("{object}?uploads")),
    ] {
        let reply = client.send(call.header("x-amz-storage-class", "GLACIER")).await;
        reply.fails(400, "InvalidStorageClass");
    }
    client.send(Call::head(&object)).await.expect(404);
    for class in ["GLACIER_IR", "INTELLIGENT_TIERING", "DEEP_ARCHIVE"] {
        client.send(Call::put(&object).body("body").header("x-amz-storage-class", class)).await.expect(200);
        let head = client.send(Call::head(&object)).await.expect(200);
        assert_eq!(head.header("x-amz-storage-class"), class);
    }
}

/// Earlier versions of Cairn stored objects with these classes. Clients must be able to read them.
#[tokio::test]
async fn an_object_of_an_archive_class_that_is_not_configured_is_shown_as_standard() {
    let mut setup = with_class();
    setup.blocks.storage_classes.insert("DEEP_ARCHIVE".to_owned(), 2);
    let store = Store::of(setup).await;
    let client = &store.client;
    for (key, class) in [("deep", "DEEP_ARCHIVE"), ("glacier", "GLACIER"), ("other", "NO_LONGER_CONFIGURED")]
    {
        let attributes =
            ObjectAttributes { storage_class: Some(class.to_owned()), ..ObjectAttributes::default() };
        let commit = CommitObject {
            bucket: BUCKET.to_owned(),
            key: key.to_owned(),
            version: VersionId(client.env.uuid_v7()),
            length: 0,
            etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            attributes,
            tags: Tags::new(),
            extents: Vec::new(),
            condition: WriteCondition::None,
        };
        store.metanode.metadata().commit_object(commit).await.unwrap();
    }
    for (key, shown) in [("deep", "DEEP_ARCHIVE"), ("glacier", ""), ("other", "NO_LONGER_CONFIGURED")] {
        for call in [Call::head(&format!("/{BUCKET}/{key}")), Call::get(&format!("/{BUCKET}/{key}"))] {
            assert_eq!(client.send(call).await.expect(200).header("x-amz-storage-class"), shown);
        }
    }
    let expected = ["DEEP_ARCHIVE", "STANDARD", "NO_LONGER_CONFIGURED"];
    for (query, root, entry) in [
        ("list-type=2", "ListBucketResult", "Contents"),
        ("", "ListBucketResult", "Contents"),
        ("versions", "ListVersionsResult", "Version"),
    ] {
        let list = client.send(Call::get(&format!("/{BUCKET}?{query}"))).await.expect(200);
        assert_eq!(texts(&list.xml(root), &[entry, "StorageClass"]), expected, "{query}");
    }
    let attributes = Call::get(&format!("/{BUCKET}/glacier?attributes"));
    let attributes = client.send(attributes.header("x-amz-object-attributes", "StorageClass")).await;
    let attributes = attributes.expect(200).xml("GetObjectAttributesResponse");
    assert_eq!(texts(&attributes, &["StorageClass"]), ["STANDARD"]);
    let copy =
        Call::put(&format!("/{BUCKET}/copy")).header("x-amz-copy-source", &format!("/{BUCKET}/glacier"));
    client.send(copy).await.expect(200);
}

#[tokio::test]
async fn a_copy_of_another_class_raises_the_replication_of_the_shared_blocks() {
    let store = Store::of(with_class()).await;
    let class = |call: Call, class: &str| call.header("x-amz-storage-class", class);
    let one = class(Call::put(&format!("/{BUCKET}/one")).body("body"), "ARCHIVE_ONE");
    store.client.send(one).await.expect(200);
    let copy = Call::put(&format!("/{BUCKET}/copy")).header("x-amz-copy-source", &format!("/{BUCKET}/one"));
    store.client.send(class(copy.clone(), "ARCHIVE_ONE")).await.expect(200);
    assert_eq!(place(&store, "one").await.extents[0].replication, 1);
    store.client.send(copy).await.expect(200);
    let (one, copy) = (place(&store, "one").await, place(&store, "copy").await);
    assert_eq!(one.extents[0].block, copy.extents[0].block);
    assert_eq!((one.extents[0].replication, copy.extents[0].replication), (3, 3));
    let good = async || {
        let place = place(&store, "one").await;
        place.extents[0].replicas.iter().filter(|replica| replica.good).count()
    };
    let repaired = async {
        while good().await < 3 {
            tokio::task::yield_now().await;
        }
    };
    store.pass_until(repaired).await;
}

#[tokio::test]
async fn blocks_are_as_large_as_the_client_says() {
    let store = Store::start().await;
    let body = vec![7; 300 * KIB];
    let put = |size: Option<&'static str>| {
        let call = Call::put(&format!("/{BUCKET}/key")).body(body.clone());
        store.client.send(match size {
            Some(size) => call.header("x-cairn-block-size", size),
            None => call,
        })
    };
    put(None).await.expect(200);
    assert_eq!(lengths(&store, "key").await, [300 << 10]);
    put(Some("64KiB")).await.expect(200);
    assert_eq!(lengths(&store, "key").await, [64 << 10, 64 << 10, 64 << 10, 64 << 10, 44 << 10]);
    put(Some("131072")).await.expect(200);
    assert_eq!(lengths(&store, "key").await, [128 << 10, 128 << 10, 44 << 10]);
    let got = store.client.send(Call::get(&format!("/{BUCKET}/key"))).await.expect(200);
    assert_eq!(got.body, body);
    for size in ["0", "1KiB", "257MiB", "a lot", ""] {
        put(Some(size)).await.fails(400, "InvalidArgument");
    }
    assert_eq!(lengths(&store, "key").await.len(), 3);
}

#[tokio::test]
async fn an_uploads_block_size_applies_to_parts_without_their_own() {
    let store = Store::start().await;
    let target = format!("/{BUCKET}/key");
    let create = Call::post(&format!("{target}?uploads")).header("x-cairn-block-size", "64KiB");
    let created = store.client.send(create).await.expect(200);
    let upload = texts(&created.xml("InitiateMultipartUploadResult"), &["UploadId"]).pop().unwrap();
    let part = async |number: u32, size: Option<&str>, length: usize| {
        let call =
            Call::put(&format!("{target}?partNumber={number}&uploadId={upload}")).body(vec![1; length]);
        let call = match size {
            Some(size) => call.header("x-cairn-block-size", size),
            None => call,
        };
        store.client.send(call).await.expect(200).header("etag").to_owned()
    };
    let parts = [part(1, None, 5 << 20).await, part(2, Some("1MiB"), 1 << 20).await];
    let document: String = parts
        .iter()
        .enumerate()
        .map(|(index, etag)| {
            format!("<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>", index + 1)
        })
        .collect();
    let complete = Call::post(&format!("{target}?uploadId={upload}"))
        .body(format!("<CompleteMultipartUpload>{document}</CompleteMultipartUpload>"));
    store.client.send(complete).await.expect(200);
    let mut expected = vec![64 << 10; 80];
    expected.push(1 << 20);
    assert_eq!(lengths(&store, "key").await, expected);
}

#[tokio::test]
async fn a_block_size_must_be_signed_and_is_refused_where_it_has_no_effect() {
    let store = Store::start().await;
    store.client.send(Call::put(&format!("/{BUCKET}/key")).body("body")).await.expect(200);
    let object = format!("/{BUCKET}/key");
    for call in [
        Call::get(&object),
        Call::delete(&object),
        Call::put(&object).header("x-amz-copy-source", &object),
        Call::put("/another-bucket"),
        Call::get(&format!("/{BUCKET}")),
    ] {
        let reply = store.client.send(call.header("x-cairn-block-size", "1MiB")).await;
        reply.fails(501, "NotImplemented");
    }
    store.client.send(Call::put(&object).header("x-cairn-colour", "red")).await.fails(501, "NotImplemented");
    let mut unsigned = store.client.prepare(Call::put(&object).body("other"));
    unsigned.headers_mut().insert("x-cairn-block-size", "1MiB".parse().unwrap());
    let reply = store.client.send_prepared(unsigned).await.fails(403, "AccessDenied");
    assert_eq!(reply.error("HeadersNotSigned").as_deref(), Some("x-cairn-block-size"));
    assert_eq!(store.client.send(Call::get(&object)).await.expect(200).body, "body");
}

/// A replication of 1, so that each grant names one node.
fn single() -> BlockManagerConfig {
    BlockManagerConfig { replication: 1, min_replicas: 1, ..BlockManagerConfig::default() }
}

#[tokio::test]
async fn when_all_nodes_of_a_grant_are_down_others_are_asked_for_until_one_is_up() {
    for seed in 1..=8 {
        let setup = Setup { blocks: single(), datanodes: 5, unreachable: 4, seed, ..Setup::default() };
        let store = Store::of(setup).await;
        let (reply, _) = store.pass_until(store.client.send(Call::put("/bucket/key").body("body"))).await;
        reply.expect(200);
        let (got, _) = store.pass_until(store.client.send(Call::get("/bucket/key"))).await;
        assert_eq!(got.expect(200).body, "body");
    }
}

#[tokio::test]
async fn without_enough_datanodes_a_write_is_refused_with_the_reason() {
    let store = Store::of(Setup { datanodes: 0, ..Setup::default() }).await;
    let (reply, _) = store.pass_until(store.client.send(Call::put("/bucket/key").body("body"))).await;
    let reply = reply.fails(503, "ServiceUnavailable");
    assert!(reply.error("Message").unwrap().contains("no datanode has registered"), "{}", reply.text());
    // An empty object needs no datanode.
    store.client.send(Call::put("/bucket/empty")).await.expect(200);

    let setup = Setup { blocks: single(), unreachable: 1, ..Setup::default() };
    let store = Store::of(setup).await;
    let (reply, _) = store.pass_until(store.client.send(Call::put("/bucket/key").body("body"))).await;
    let reply = reply.fails(503, "SlowDown");
    assert!(reply.error("Message").unwrap().contains("Too few datanodes"), "{}", reply.text());
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_blocks() {
    let store = Store::start().await;
    // The client sends the first block and a part of the second one.
    let body = Body::Raw { data: vec![7; 65 * KIB], sha256: "UNSIGNED-PAYLOAD".into() };
    let call = Call::put("/bucket/key").header("x-cairn-block-size", "64KiB");
    let request = store.client.prepare(call.header("content-length", &(1 << 20).to_string()).with(body));
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        bytes.extend(format!("{name}: {}\r\n", value.to_str().unwrap()).into_bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(vec![7; 65 * KIB]);
    let mut stream = TcpStream::connect(store.address).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let stored = store.stored.wait_for(|event| matches!(event, EventKind::BlockStored { .. })).await.unwrap();
    let EventKind::BlockStored { block, .. } = stored.kind else { panic!("{stored:?}") };
    drop(stream);
    // The grant is given back at once: the clock does not advance.
    let given_back =
        |event: &EventKind| matches!(event, EventKind::GrantAbandoned { block: it } if *it == block);
    store.events.wait_for(given_back).await;
    // The answer to the datanode's next heartbeat has the command to delete the block.
    let deleted =
        |event: &EventKind| matches!(event, EventKind::BlockDeleted { block: it, .. } if *it == block);
    store.pass_until(store.events.wait_for(deleted)).await;
    store.client.send(Call::head("/bucket/key")).await.expect(404);
}

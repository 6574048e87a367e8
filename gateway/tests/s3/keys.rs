//! Keys: 1 to 1,024 bytes of UTF-8, stored unchanged.

use cairn_gateway::uri::encode;

use crate::support::{Call, Store, texts};

#[tokio::test]
async fn any_key_is_kept_to_the_byte() {
    let store = Store::start().await;
    let client = &store.client;
    let longest = "é".repeat(512);
    let keys = [
        "plain",
        "a/b/c",
        "a//b",
        "/leading",
        "trailing/",
        "..",
        "../up",
        "a/../b",
        ".",
        "./a",
        "a b+c%20d",
        "🦀/é",
        "q?x=1&y=2#z",
        "nul\0\u{1}\r\n\t",
        "<&>\"'",
        "~_-.!*()",
        &longest,
    ];
    for key in keys {
        let path = format!("/bucket/{}", encode(key.as_bytes(), true));
        client.send(Call::put(&path).header("x-amz-meta-n", &key.len().to_string())).await.expect(200);
    }
    for key in keys {
        let path = format!("/bucket/{}", encode(key.as_bytes(), true));
        let head = client.send(Call::head(&path)).await.expect(200);
        assert_eq!(head.header("x-amz-meta-n"), key.len().to_string(), "{key:?}");
    }
    let list = client.send(Call::get("/bucket?list-type=2&encoding-type=url")).await.expect(200);
    let listed = texts(&list.xml("ListBucketResult"), &["Contents", "Key"]);
    let mut sorted: Vec<&str> = keys.to_vec();
    sorted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    let encoded: Vec<String> = sorted.iter().map(|key| encode(key.as_bytes(), true)).collect();
    assert_eq!(listed, encoded);
}

#[tokio::test]
async fn invalid_keys_are_refused() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put(&format!("/bucket/{}", "k".repeat(1024)))).await.expect(200);
    client.send(Call::put(&format!("/bucket/{}", "k".repeat(1025)))).await.fails(400, "KeyTooLongError");
    client.send(Call::get(&format!("/bucket/{}", "%C3%A9".repeat(513)))).await.fails(400, "KeyTooLongError");
    client.send(Call::put("/bucket/%ff%fe")).await.fails(400, "InvalidURI");
    client.send(Call::get("/bucket/%zz")).await.fails(400, "InvalidURI");
}

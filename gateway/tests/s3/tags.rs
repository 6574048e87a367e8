//! Tags of objects.

use crate::support::{Call, Store, texts};

#[tokio::test]
async fn tags_are_set_read_and_removed() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key").header("x-amz-tagging", "a=1&b=x%20y")).await.expect(200);
    let read = || client.send(Call::get("/bucket/key?tagging"));
    let tags = read().await.expect(200).xml("Tagging");
    assert_eq!(texts(&tags, &["TagSet", "Tag", "Key"]), ["a", "b"]);
    assert_eq!(texts(&tags, &["TagSet", "Tag", "Value"]), ["1", "x y"]);

    let document = "<Tagging><TagSet><Tag><Key>c</Key><Value>3</Value></Tag></TagSet></Tagging>";
    client.send(Call::put("/bucket/key?tagging").body(document)).await.expect(200);
    assert_eq!(texts(&read().await.expect(200).xml("Tagging"), &["TagSet", "Tag", "Key"]), ["c"]);

    client.send(Call::delete("/bucket/key?tagging")).await.expect(204);
    assert!(texts(&read().await.expect(200).xml("Tagging"), &["TagSet", "Tag", "Key"]).is_empty());
}

#[tokio::test]
async fn wrong_tags_are_refused_and_change_nothing() {
    let store = Store::start().await;
    let client = &store.client;
    client.send(Call::put("/bucket/key").header("x-amz-tagging", "a=1")).await.expect(200);
    let put = |document: String| client.send(Call::put("/bucket/key?tagging").body(document));
    let tag = |key: &str| format!("<Tag><Key>{key}</Key><Value>v</Value></Tag>");
    let tagging = |tags: String| format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    put(tagging(tag("a") + &tag("a"))).await.fails(400, "InvalidTag");
    put(tagging(tag("aws:a"))).await.fails(400, "InvalidTag");
    put(tagging((0..11).map(|n| tag(&n.to_string())).collect())).await.fails(400, "BadRequest");
    put("<Tagging/>".into()).await.fails(400, "MalformedXML");
    put(String::new()).await.fails(400, "MissingRequestBodyError");
    let head = client.send(Call::head("/bucket/key")).await.expect(200);
    assert_eq!(head.header("x-amz-tagging-count"), "1");
    client.send(Call::get("/bucket/none?tagging")).await.fails(404, "NoSuchKey");
    client
        .send(Call::put("/bucket/bad").header("x-amz-tagging", "a=1&a=2"))
        .await
        .fails(400, "InvalidArgument");
}

//! Multipart uploads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha2::Sha256;

use crate::support::{Body, Call, Client, Reply, Store, texts};

const MIB: usize = 1 << 20;
const PART_MIN: usize = 5 * MIB;

fn bytes(seed: u32, length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 11) as u8).collect()
}

fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// The ETag of an object that was completed from these parts.
fn etag_of(parts: &[&[u8]]) -> String {
    let digests: Vec<u8> = parts.iter().flat_map(|part| Md5::digest(part).to_vec()).collect();
    format!("\"{}-{}\"", md5(&digests), parts.len())
}

struct Upload {
    client: Client,
    key: &'static str,
    id: String,
}

impl Upload {
    async fn create(client: &Client, key: &'static str, headers: &[(&str, &str)]) -> Self {
        let call = Call::post(&format!("{key}?uploads"));
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        let created = client.send(call).await.expect(200);
        let id = texts(&created.xml("InitiateMultipartUploadResult"), &["UploadId"]).remove(0);
        Self { client: client.clone(), key, id }
    }

    fn target(&self, number: u32) -> String {
        format!("{}?partNumber={number}&uploadId={}", self.key, self.id)
    }

    async fn put(&self, number: u32, bytes: &[u8]) -> Reply {
        self.client.send(Call::put(&self.target(number)).with(Body::Unsigned(bytes.to_vec()))).await
    }

    async fn complete_with(&self, document: &str, headers: &[(&str, &str)]) -> Reply {
        let call = Call::post(&format!("{}?uploadId={}", self.key, self.id)).body(document);
        self.client.send(headers.iter().fold(call, |call, (name, value)| call.header(name, value))).await
    }

    async fn complete(&self, parts: &[(u32, &str)]) -> Reply {
        self.complete_with(&document(parts), &[]).await
    }
}

fn document(parts: &[(u32, &str)]) -> String {
    let parts: String = parts
        .iter()
        .map(|(number, etag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"))
        .collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

#[tokio::test]
async fn parts_become_one_object_with_the_attributes_of_the_upload() {
    let store = Store::start().await;
    let client = &store.client;
    let headers = [("content-type", "text/plain"), ("x-amz-meta-colour", "red"), ("x-amz-tagging", "k=v")];
    let upload = Upload::create(client, "/bucket/a%20b", &headers).await;
    let (one, two, three) = (bytes(1, PART_MIN), bytes(2, PART_MIN + 1), bytes(3, 7));
    // Parts arrive in any order, one is replaced, and one is not listed in the completion.
    let third = upload.put(9, &three).await.expect(200);
    assert_eq!(third.header("etag"), format!("\"{}\"", md5(&three)));
    upload.put(1, b"replaced").await.expect(200);
    upload.put(1, &one).await.expect(200);
    upload.put(5, b"left out").await.expect(200);
    upload.put(2, &two).await.expect(200);
    client.send(Call::get("/bucket/a%20b")).await.fails(404, "NoSuchKey");

    let parts = [(1, md5(&one)), (2, md5(&two)), (9, md5(&three))];
    let parts: Vec<_> = parts.iter().map(|(number, etag)| (*number, etag.as_str())).collect();
    let completed = upload.complete(&parts).await.expect(200);
    let result = completed.xml("CompleteMultipartUploadResult");
    let etag = etag_of(&[&one, &two, &three]);
    assert_eq!(texts(&result, &["ETag"]), [etag.as_str()]);
    assert_eq!(texts(&result, &["Bucket"]), ["bucket"]);
    assert_eq!(texts(&result, &["Key"]), ["a b"]);
    assert_eq!(texts(&result, &["Location"]), [format!("http://{}/bucket/a%20b", store.address)]);

    let object = client.send(Call::get("/bucket/a%20b")).await.expect(200);
    assert!(object.body == [&one[..], &two, &three].concat());
    assert_eq!(object.header("etag"), etag);
    assert_eq!(object.header("content-type"), "text/plain");
    assert_eq!(object.header("x-amz-meta-colour"), "red");
    assert_eq!(object.header("x-amz-tagging-count"), "1");
    // A range across two parts, and one part by its number.
    let range = format!("bytes={}-{}", PART_MIN - 3, PART_MIN + 3);
    let across = client.send(Call::get("/bucket/a%20b").header("range", &range)).await.expect(206);
    assert!(across.body == [&one[PART_MIN - 3..], &two[..4]].concat());
    let part = client.send(Call::get("/bucket/a%20b?partNumber=2")).await.expect(206);
    assert!(part.body == two);
    assert_eq!(part.header("x-amz-mp-parts-count"), "3");
}

#[tokio::test]
async fn a_repeated_completion_gets_the_same_answer_and_another_one_does_not() {
    let store = Store::start().await;
    let upload = Upload::create(&store.client, "/bucket/key", &[]).await;
    upload.put(1, b"one").await.expect(200);
    upload.put(2, b"two").await.expect(200);
    let (one, two) = (md5(b"one"), md5(b"two"));
    let first = upload.complete(&[(2, &two)]).await.expect(200);
    let again = upload.complete(&[(2, &two)]).await.expect(200);
    assert_eq!(again.body, first.body);
    upload.complete(&[(1, &one)]).await.fails(404, "NoSuchUpload");
    upload.put(3, b"late").await.fails(404, "NoSuchUpload");
    let id = &upload.id;
    store.client.send(Call::delete(&format!("/bucket/key?uploadId={id}"))).await.fails(404, "NoSuchUpload");
    store.client.send(Call::get(&format!("/bucket/key?uploadId={id}"))).await.fails(404, "NoSuchUpload");
}

#[tokio::test]
async fn an_invalid_completion_has_its_error_and_the_upload_stays() {
    let store = Store::start().await;
    let upload = Upload::create(&store.client, "/bucket/key", &[]).await;
    for number in 1..=2 {
        upload.put(number, b"small").await.expect(200);
    }
    let etag = md5(b"small");
    upload.complete(&[(2, &etag), (1, &etag)]).await.fails(400, "InvalidPartOrder");
    upload.complete(&[(1, &etag), (1, &etag)]).await.fails(400, "InvalidPartOrder");
    let missing = upload.complete(&[(3, &etag)]).await.fails(400, "InvalidPart");
    assert_eq!(missing.error("PartNumber").as_deref(), Some("3"));
    upload.complete(&[(1, &md5(b"other"))]).await.fails(400, "InvalidPart");
    let small = upload.complete(&[(1, &etag), (2, &etag)]).await.fails(400, "EntityTooSmall");
    assert_eq!(small.error("MinSizeAllowed").as_deref(), Some("5242880"));
    upload.complete(&[]).await.fails(400, "MalformedXML");
    upload.complete_with("", &[]).await.fails(400, "MissingRequestBodyError");
    upload.complete_with("<CompleteMultipartUpload><Part>", &[]).await.fails(400, "MalformedXML");
    upload.complete(&[(0, &etag)]).await.fails(400, "InvalidArgument");
    let one = document(&[(1, &etag)]);
    upload.complete_with(&one, &[("x-amz-mp-object-size", "4")]).await.fails(400, "InvalidRequest");
    upload.complete_with(&one, &[("x-amz-mp-object-size", "5")]).await.expect(200);
}

#[tokio::test]
async fn a_completion_has_conditions() {
    let store = Store::start().await;
    let client = &store.client;
    let etag = md5(b"part");
    let document = document(&[(1, &etag)]);
    let upload = Upload::create(client, "/bucket/key", &[]).await;
    upload.put(1, b"part").await.expect(200);
    upload.complete_with(&document, &[("if-match", "\"x\"")]).await.fails(404, "NoSuchKey");
    upload.complete_with(&document, &[("if-none-match", "*")]).await.expect(200);
    let upload = Upload::create(client, "/bucket/key", &[]).await;
    upload.put(1, b"part").await.expect(200);
    upload.complete_with(&document, &[("if-none-match", "*")]).await.fails(412, "PreconditionFailed");
    let current = client.send(Call::head("/bucket/key")).await.expect(200).header("etag").to_owned();
    upload.complete_with(&document, &[("if-match", "\"x\"")]).await.fails(412, "PreconditionFailed");
    upload.complete_with(&document, &[("if-match", &current)]).await.expect(200);
}

#[tokio::test]
async fn invalid_part_numbers_and_upload_ids_are_refused() {
    let store = Store::start().await;
    let client = &store.client;
    let upload = Upload::create(client, "/bucket/key", &[]).await;
    for number in ["0", "10001", "-1", "one", ""] {
        let target = format!("/bucket/key?partNumber={number}&uploadId={}", upload.id);
        let refused = client.send(Call::put(&target).body("x")).await.fails(400, "InvalidArgument");
        assert_eq!(
            refused.error("Message").unwrap(),
            "Part number must be an integer between 1 and 10000, inclusive"
        );
    }
    upload.put(10_000, b"last").await.expect(200);
    for id in ["", "nonsense", "AAAAAAAAAAAAAAAAAAAAAA"] {
        let target = format!("/bucket/key?uploadId={id}");
        client.send(Call::put(&format!("{target}&partNumber=1")).body("x")).await.fails(404, "NoSuchUpload");
        client.send(Call::get(&target)).await.fails(404, "NoSuchUpload");
        client.send(Call::delete(&target)).await.fails(404, "NoSuchUpload");
        client.send(Call::post(&target).body(document(&[(1, "e")]))).await.fails(404, "NoSuchUpload");
    }
    // An upload is only found under its own key.
    let elsewhere = format!("/bucket/other?uploadId={}", upload.id);
    client.send(Call::get(&elsewhere)).await.fails(404, "NoSuchUpload");
    client.send(Call::post("/nowhere-bucket/key?uploads")).await.fails(404, "NoSuchBucket");
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let store = Store::start().await;
    let upload = Upload::create(&store.client, "/bucket/key", &[]).await;
    upload.put(1, b"part").await.expect(200);
    let target = format!("/bucket/key?uploadId={}", upload.id);
    store.client.send(Call::delete(&target)).await.expect(204);
    store.client.send(Call::delete(&target)).await.fails(404, "NoSuchUpload");
    upload.put(2, b"part").await.fails(404, "NoSuchUpload");
    upload.complete(&[(1, &md5(b"part"))]).await.fails(404, "NoSuchUpload");
    store.client.send(Call::delete("/bucket")).await.expect(204);
}

#[tokio::test]
async fn a_wrong_part_is_refused_and_not_kept() {
    let store = Store::start().await;
    let upload = Upload::create(&store.client, "/bucket/key", &[]).await;
    let put = |name: &str, value: &str| Call::put(&upload.target(1)).header(name, value).body("bytes");
    let wrong_md5 = STANDARD.encode(Md5::digest(b"other"));
    store.client.send(put("content-md5", &wrong_md5)).await.fails(400, "BadDigest");
    let wrong_sha = STANDARD.encode(Sha256::digest(b"other"));
    store.client.send(put("x-amz-checksum-sha256", &wrong_sha)).await.fails(400, "BadDigest");
    let listed =
        store.client.send(Call::get(&format!("/bucket/key?uploadId={}", upload.id))).await.expect(200);
    assert!(texts(&listed.xml("ListPartsResult"), &["Part", "PartNumber"]).is_empty());
}

/// The rules of "Checking object integrity in Amazon S3". The test computes the SHA-256 values itself.
#[tokio::test]
async fn composite_checksums_are_made_of_the_parts() {
    let store = Store::start().await;
    let client = &store.client;
    let headers = [("x-amz-checksum-algorithm", "SHA256")];
    let upload = Upload::create(client, "/bucket/key", &headers).await;
    let (one, two) = (bytes(1, PART_MIN), bytes(2, 10));
    let sums = [Sha256::digest(&one).to_vec(), Sha256::digest(&two).to_vec()];
    for (number, part, sum) in [(1, &one, &sums[0]), (2, &two, &sums[1])] {
        let value = STANDARD.encode(sum);
        let call = Call::put(&upload.target(number)).header("x-amz-checksum-sha256", &value);
        let put = client.send(call.with(Body::Unsigned(part.clone()))).await.expect(200);
        assert_eq!(put.header("x-amz-checksum-sha256"), value);
    }
    // The upload has another algorithm.
    let mismatch = Call::put(&upload.target(3)).header("x-amz-checksum-crc32", "AAAAAA==").body("");
    client.send(mismatch).await.fails(400, "InvalidRequest");

    let listed = client.send(Call::get(&format!("/bucket/key?uploadId={}", upload.id))).await.expect(200);
    let listed = listed.xml("ListPartsResult");
    assert_eq!(texts(&listed, &["ChecksumAlgorithm"]), ["SHA256"]);
    assert_eq!(texts(&listed, &["ChecksumType"]), ["COMPOSITE"]);
    assert_eq!(
        texts(&listed, &["Part", "ChecksumSHA256"]),
        [STANDARD.encode(&sums[0]), STANDARD.encode(&sums[1])]
    );

    let part = |number: u32, bytes: &[u8], sum: &[u8]| {
        let (etag, sum) = (md5(bytes), STANDARD.encode(sum));
        format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><ChecksumSHA256>{sum}</ChecksumSHA256></Part>"
        )
    };
    let whole = |second: &[u8]| {
        let parts = part(1, &one, &sums[0]) + &part(2, &two, second);
        format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
    };
    upload.complete_with(&whole(&sums[0]), &[]).await.fails(400, "InvalidPart");
    // The object's checksum covers the checksums in the client's list, so the list must have them.
    let unsaid = upload.complete(&[(1, &md5(&one)), (2, &md5(&two))]).await.fails(400, "InvalidRequest");
    assert!(unsaid.error("Message").unwrap().contains("missing for part 1"), "{}", unsaid.text());
    let expected = format!("{}-2", STANDARD.encode(Sha256::digest(sums.concat())));
    let wrong = [("x-amz-checksum-type", "FULL_OBJECT")];
    upload.complete_with(&whole(&sums[1]), &wrong).await.fails(400, "InvalidRequest");
    let completed = upload.complete_with(&whole(&sums[1]), &[("x-amz-checksum-type", "COMPOSITE")]).await;
    let completed = completed.expect(200).xml("CompleteMultipartUploadResult");
    assert_eq!(texts(&completed, &["ChecksumSHA256"]), [expected.as_str()]);
    assert_eq!(texts(&completed, &["ChecksumType"]), ["COMPOSITE"]);
    let head =
        client.send(Call::head("/bucket/key").header("x-amz-checksum-mode", "ENABLED")).await.expect(200);
    assert_eq!(head.header("x-amz-checksum-sha256"), expected);
    // A part's checksum covers its own bytes. Its type tells how the object's checksum is computed from it.
    for call in [Call::get("/bucket/key?partNumber=2"), Call::head("/bucket/key?partNumber=2")] {
        let part = client.send(call.header("x-amz-checksum-mode", "ENABLED")).await.expect(206);
        assert_eq!(part.header("x-amz-checksum-sha256"), STANDARD.encode(&sums[1]));
        assert_eq!(part.header("x-amz-checksum-type"), "COMPOSITE");
    }
}

/// The CRC-64/NVME of "123456789" is AE8B14860A799888 (the check value of the NVMe specification).
#[tokio::test]
async fn full_object_checksums_are_those_of_all_bytes() {
    let store = Store::start().await;
    let client = &store.client;
    let check = STANDARD.encode(0xae8b_1486_0a79_9888_u64.to_be_bytes());
    for headers in [&[][..], &[("x-amz-checksum-algorithm", "CRC64NVME")]] {
        let upload = Upload::create(client, "/bucket/key", headers).await;
        upload.put(1, b"123456789").await.expect(200);
        let document = document(&[(1, &md5(b"123456789"))]);
        let wrong = [("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")];
        upload.complete_with(&document, &wrong).await.fails(400, "BadDigest");
        let completed = upload.complete_with(&document, &[("x-amz-checksum-crc64nvme", &check)]).await;
        let completed = completed.expect(200).xml("CompleteMultipartUploadResult");
        assert_eq!(texts(&completed, &["ChecksumCRC64NVME"]), [check.as_str()]);
        assert_eq!(texts(&completed, &["ChecksumType"]), ["FULL_OBJECT"]);
    }
}

#[tokio::test]
async fn parts_are_copied_from_objects_and_ranges_of_them() {
    let store = Store::start().await;
    let client = &store.client;
    let source = bytes(3, PART_MIN + 100);
    client.send(Call::put("/bucket/source%2Bplus").with(Body::Unsigned(source.clone()))).await.expect(200);
    let upload = Upload::create(client, "/bucket/key", &[]).await;
    let copy =
        |number| Call::put(&upload.target(number)).header("x-amz-copy-source", "/bucket/source%2Bplus");
    let whole = client.send(copy(1)).await.expect(200).xml("CopyPartResult");
    assert_eq!(texts(&whole, &["ETag"]), [format!("\"{}\"", md5(&source))]);
    let range = client.send(copy(2).header("x-amz-copy-source-range", "bytes=3-70000")).await.expect(200);
    let etag = texts(&range.xml("CopyPartResult"), &["ETag"]).remove(0);
    assert_eq!(etag, format!("\"{}\"", md5(&source[3..=70_000])));
    let completed = upload.complete(&[(1, &md5(&source)), (2, &etag)]).await.expect(200);
    let completed = completed.xml("CompleteMultipartUploadResult");
    assert_eq!(texts(&completed, &["ETag"]), [etag_of(&[&source, &source[3..=70_000]])]);
    let object = client.send(Call::get("/bucket/key")).await.expect(200);
    assert!(object.body == [&source[..], &source[3..=70_000]].concat());

    // The ETag of a multipart object is not the MD5 of its bytes, so the bytes of this source are read.
    let again = Upload::create(client, "/bucket/again", &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let call = Call::put(&again.target(1)).header("x-amz-copy-source", "bucket/key");
    let copied = client.send(call).await.expect(200).xml("CopyPartResult");
    assert_eq!(texts(&copied, &["ETag"]), [format!("\"{}\"", md5(&object.body))]);
    assert_eq!(texts(&copied, &["ChecksumSHA256"]), [STANDARD.encode(Sha256::digest(&object.body))]);
}

#[tokio::test]
async fn copies_of_missing_sources_and_ranges_are_refused() {
    let store = Store::start().await;
    let client = &store.client;
    let source = client.send(Call::put("/bucket/source").body("0123456789")).await.expect(200);
    client.send(Call::put("/bucket/empty")).await.expect(200);
    let upload = Upload::create(client, "/bucket/key", &[]).await;
    let copy = |source: &str| Call::put(&upload.target(1)).header("x-amz-copy-source", source);
    client.send(copy("/bucket/nothing")).await.fails(404, "NoSuchKey");
    client.send(copy("/nowhere-bucket/source")).await.fails(404, "NoSuchBucket");
    for range in ["bytes=0-10", "bytes=10-10", "bytes=0-", "bytes=5-3", "0-3"] {
        let call = copy("/bucket/source").header("x-amz-copy-source-range", range);
        client.send(call).await.fails(400, "InvalidArgument");
    }
    let etag = source.header("etag");
    let failing = copy("/bucket/source").header("x-amz-copy-source-if-none-match", etag);
    client.send(failing).await.fails(412, "PreconditionFailed");
    let holding = copy("/bucket/source").header("x-amz-copy-source-if-match", etag);
    client.send(holding).await.expect(200);
    let empty = client.send(copy("/bucket/empty")).await.expect(200).xml("CopyPartResult");
    assert_eq!(texts(&empty, &["ETag"]), ["\"d41d8cd98f00b204e9800998ecf8427e\""]);
}

#[tokio::test]
async fn parts_are_listed_in_pages() {
    let store = Store::start().await;
    let client = &store.client;
    let upload = Upload::create(client, "/bucket/a%26b", &[]).await;
    for number in [4, 2, 3] {
        upload.put(number, &bytes(number, number as usize)).await.expect(200);
    }
    let list = |query: &str| client.send(Call::get(&format!("/bucket/a%26b?uploadId={}{query}", upload.id)));
    let page = list("&max-parts=2").await.expect(200).xml("ListPartsResult");
    assert_eq!(texts(&page, &["Key"]), ["a&b"]);
    assert_eq!(texts(&page, &["UploadId"]), [upload.id.as_str()]);
    assert_eq!(texts(&page, &["Part", "PartNumber"]), ["2", "3"]);
    assert_eq!(texts(&page, &["Part", "Size"]), ["2", "3"]);
    assert_eq!(texts(&page, &["Part", "ETag"])[0], format!("\"{}\"", md5(&bytes(2, 2))));
    assert_eq!(texts(&page, &["IsTruncated"]), ["true"]);
    assert_eq!(texts(&page, &["NextPartNumberMarker"]), ["3"]);
    let page = list("&part-number-marker=3").await.expect(200).xml("ListPartsResult");
    assert_eq!(texts(&page, &["Part", "PartNumber"]), ["4"]);
    assert_eq!(texts(&page, &["IsTruncated"]), ["false"]);
    assert_eq!(texts(&page, &["StorageClass"]), ["STANDARD"]);
    list("&part-number-marker=-1").await.fails(400, "InvalidArgument");
    list("&max-parts=x").await.fails(400, "InvalidArgument");
}

#[tokio::test]
async fn uploads_are_listed_in_pages_by_key_and_age_and_rolled_up() {
    let store = Store::start().await;
    let client = &store.client;
    let mut ids = Vec::new();
    for key in ["/bucket/b", "/bucket/b", "/bucket/a/1", "/bucket/a/2", "/bucket/c"] {
        ids.push(Upload::create(client, key, &[]).await.id);
        store.clock.advance(std::time::Duration::from_secs(1));
    }
    let list = |query: String| async move {
        let reply = client.send(Call::get(&format!("/bucket?uploads{query}"))).await;
        reply.expect(200).xml("ListMultipartUploadsResult")
    };
    let all = list(String::new()).await;
    assert_eq!(texts(&all, &["Upload", "Key"]), ["a/1", "a/2", "b", "b", "c"]);
    assert_eq!(texts(&all, &["Upload", "UploadId"])[2..4], ids[..2]);
    assert_eq!(texts(&all, &["Upload", "Initiated"])[2], "2026-01-02T03:04:05.000Z");
    // All pages together have the same uploads.
    let (mut keys, mut marker) = (Vec::new(), String::new());
    loop {
        let page = list(format!("&max-uploads=2{marker}")).await;
        keys.extend(texts(&page, &["Upload", "UploadId"]));
        if texts(&page, &["IsTruncated"]) == ["false"] {
            break;
        }
        let next = |name| texts(&page, &[name]).remove(0);
        marker = format!(
            "&key-marker={}&upload-id-marker={}",
            next("NextKeyMarker").replace('/', "%2F"),
            next("NextUploadIdMarker")
        );
    }
    assert_eq!(keys, texts(&all, &["Upload", "UploadId"]));
    // A key marker without an upload id marker skips all uploads of the key.
    assert_eq!(texts(&list("&key-marker=b".into()).await, &["Upload", "Key"]), ["c"]);
    let rolled = list("&delimiter=%2F&max-uploads=1".into()).await;
    assert_eq!(texts(&rolled, &["CommonPrefixes", "Prefix"]), ["a/"]);
    assert_eq!(texts(&rolled, &["NextKeyMarker"]), ["a/"]);
    let behind = list("&delimiter=%2F&key-marker=a%2F&encoding-type=url".into()).await;
    assert_eq!(texts(&behind, &["Upload", "Key"]), ["b", "b", "c"]);
    assert!(texts(&behind, &["CommonPrefixes"]).is_empty());
    assert_eq!(texts(&list("&prefix=a%2F".into()).await, &["Upload", "Key"]), ["a/1", "a/2"]);
    let wrong = Call::get("/bucket?uploads&key-marker=b&upload-id-marker=!");
    client.send(wrong).await.fails(400, "InvalidArgument");
}

/// UploadPartCopy of a range that is exactly a part of the source read all of its bytes to compute their MD5. Cairn had known
/// the part's MD5, but the completion of the source's upload discarded it.
#[tokio::test]
async fn a_copied_range_that_is_a_part_of_the_source_is_not_read() {
    use std::sync::atomic::Ordering;
    let store = Store::start().await;
    let client = &store.client;
    let parts = [bytes(1, PART_MIN), bytes(2, PART_MIN + 7), bytes(3, 100)];
    let source = Upload::create(client, "/bucket/source", &[]).await;
    let mut named = Vec::new();
    for (number, part) in (1..).zip(&parts) {
        source.put(number * 10, part).await.expect(200);
        named.push((number * 10, format!("\"{}\"", md5(part))));
    }
    let named: Vec<_> = named.iter().map(|(number, etag)| (*number, etag.as_str())).collect();
    source.complete(&named).await.expect(200);
    // A copy of the object has the same parts with their checksums.
    let copied = Call::put("/bucket/copy").header("x-amz-copy-source", "bucket/source");
    client.send(copied).await.expect(200);

    let upload = Upload::create(client, "/bucket/k", &[]).await;
    let connects = || store.connects.load(Ordering::SeqCst);
    let before = connects();
    let mut start = 0;
    for (number, part) in (1..).zip(&parts) {
        let range = format!("bytes={start}-{}", start + part.len() - 1);
        start += part.len();
        let source = if number == 2 { "bucket/copy" } else { "bucket/source" };
        let call = Call::put(&upload.target(number))
            .header("x-amz-copy-source", source)
            .header("x-amz-copy-source-range", &range);
        let copied = client.send(call).await.expect(200).xml("CopyPartResult");
        assert_eq!(texts(&copied, &["ETag"]), [format!("\"{}\"", md5(part))]);
    }
    assert_eq!(connects(), before, "bytes were read whose MD5 is known");
    // Any other range is read.
    let call = Call::put(&upload.target(9))
        .header("x-amz-copy-source", "bucket/source")
        .header("x-amz-copy-source-range", "bytes=1-1000");
    let copied = client.send(call).await.expect(200).xml("CopyPartResult");
    assert_eq!(texts(&copied, &["ETag"]), [format!("\"{}\"", md5(&parts[0][1..1001]))]);
    assert!(connects() > before);

    let etags: Vec<_> = parts.iter().map(|part| format!("\"{}\"", md5(part))).collect();
    let named: Vec<_> = (1..).zip(etags.iter().map(String::as_str)).collect();
    upload.complete(&named).await.expect(200);
    let got = client.send(Call::get("/bucket/k")).await.expect(200);
    assert!(got.body == parts.concat());
}

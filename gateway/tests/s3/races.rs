//! Completions of uploads that other requests change at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cairn_protocol::id::PartId;
use cairn_protocol::metadata::{AbortUpload, Metadata, NewExtent, PutPart, UploadRef};

use crate::support::{Call, Fate, Reply, Store, texts};

/// The MD5 of no bytes (RFC 1321, appendix A.5).
const EMPTY: &str = "d41d8cd98f00b204e9800998ecf8427e";

struct Upload {
    store: Store,
    id: String,
    target: UploadRef,
}

/// An upload with one empty part.
async fn upload() -> Upload {
    let store = Store::start().await;
    let created = store.client.send(Call::post("/bucket/k?uploads")).await.expect(200);
    let id = texts(&created.xml("InitiateMultipartUploadResult"), &["UploadId"]).remove(0);
    store.client.send(Call::put(&format!("/bucket/k?partNumber=1&uploadId={id}"))).await.expect(200);
    let upload = {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&id).unwrap();
        cairn_protocol::id::UploadId::from_slice(&bytes).unwrap()
    };
    let target = UploadRef { bucket: "bucket".into(), key: "k".into(), upload };
    Upload { store, id, target }
}

impl Upload {
    async fn complete(&self) -> Reply {
        let document = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{EMPTY}</ETag></Part></CompleteMultipartUpload>"
        );
        self.store.client.send(Call::post(&format!("/bucket/k?uploadId={}", self.id)).body(document)).await
    }

    /// Replaces the part by one with this ETag just before each of the next `times` completions reaches the metanode. The
    /// gateway has listed the parts by then.
    fn replace_part(&self, etag: &'static str, times: usize) -> Arc<AtomicUsize> {
        let (metadata, target): (Arc<dyn Metadata>, _) =
            (self.store.metanode.metadata(), self.target.clone());
        let env = self.store.client.env.clone();
        let replaced = Arc::new(AtomicUsize::new(0));
        let count = replaced.clone();
        self.store.between.set(move |operation| {
            let (metadata, target, env, count) =
                (metadata.clone(), target.clone(), env.clone(), count.clone());
            async move {
                if operation == "complete_upload" && count.load(Ordering::SeqCst) < times {
                    count.fetch_add(1, Ordering::SeqCst);
                    let part = PartId(env.uuid_v7());
                    let extents: Vec<NewExtent> = Vec::new();
                    let etag = etag.to_owned();
                    let put = PutPart { target, number: 1, part, length: 0, etag, checksum: None, extents };
                    metadata.put_part(put).await.unwrap();
                }
                Fate::Arrives
            }
        });
        replaced
    }
}

/// Two clients completed an upload while a third one sent a part again, with the same bytes. The gateway had listed the
/// parts before, so its completion named a part that no longer existed. The client got InvalidPart, although a part with
/// the number and ETag of its list existed all the time.
#[tokio::test]
async fn a_completion_succeeds_while_a_part_is_sent_again_with_the_same_bytes() {
    let upload = upload().await;
    let replaced = upload.replace_part(EMPTY, 3);
    upload.complete().await.expect(200);
    assert_eq!(replaced.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_completion_fails_if_a_part_is_replaced_by_other_bytes() {
    let upload = upload().await;
    upload.replace_part("900150983cd24fb0d6963f7d28e17f72", 1);
    upload.complete().await.fails(400, "InvalidPart");
}

#[tokio::test]
async fn a_completion_fails_if_the_upload_is_aborted_meanwhile() {
    let upload = upload().await;
    let (metadata, target) = (upload.store.metanode.metadata(), upload.target.clone());
    upload.store.between.set(move |operation| {
        let (metadata, target) = (metadata.clone(), target.clone());
        async move {
            if operation == "complete_upload" {
                metadata.abort_upload(AbortUpload { target, mutation: None }).await.unwrap();
            }
            Fate::Arrives
        }
    });
    upload.complete().await.fails(404, "NoSuchUpload");
}

#[tokio::test]
async fn a_completion_that_another_one_overtakes_gets_the_same_result() {
    let upload = upload().await;
    let overtaken = Arc::new(AtomicUsize::new(0));
    let (count, client, id) = (overtaken.clone(), upload.store.client.clone(), upload.id.clone());
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{EMPTY}</ETag></Part></CompleteMultipartUpload>"
    );
    upload.store.between.set(move |operation| {
        let (count, client) = (count.clone(), client.clone());
        let call = Call::post(&format!("/bucket/k?uploadId={id}")).body(document.clone());
        async move {
            if operation == "complete_upload" && count.fetch_add(1, Ordering::SeqCst) == 0 {
                client.send(call).await.expect(200);
            }
            Fate::Arrives
        }
    });
    upload.complete().await.expect(200);
    assert_eq!(overtaken.load(Ordering::SeqCst), 2);
}

//! Operations that take long: the response begins before they end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_protocol::metadata::MetadataError;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use crate::support::{Call, Fate, Store, texts};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// A store in which calls of this operation wait for a permit of the returned semaphore.
async fn with_held_up(operation: &'static str, fate: Fate) -> (Store, Arc<Semaphore>) {
    let store = Store::start().await;
    store.client.send(Call::put("/bucket/source").body("the source")).await.expect(200);
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    store.between.set(move |called| {
        let (gate, fate) = (waiting.clone(), fate.clone());
        async move {
            if called != operation {
                return Fate::Arrives;
            }
            gate.acquire().await.unwrap().forget();
            fate
        }
    });
    (store, gate)
}

fn copy() -> Call {
    Call::put("/bucket/copy").header("x-amz-copy-source", "bucket/source")
}

/// The next bytes, and the time that has passed until they arrived.
async fn next(store: &Store, answer: &mut Response<Incoming>) -> (Option<Bytes>, Duration) {
    let (frame, passed) = store.pass_until(answer.frame()).await;
    (frame.map(|frame| frame.unwrap().into_data().unwrap()), passed)
}

/// The rest of the body, as text.
async fn rest(answer: Response<Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// During a copy that took longer than a minute Cairn sent nothing. SDKs timed out and started the copy again.
#[tokio::test]
async fn a_long_operation_sends_white_space_and_then_its_result() {
    let (store, gate) = with_held_up("copy_object", Fate::Arrives).await;
    let (mut answer, passed) = store.pass_until(store.client.begin(copy())).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/xml");
    assert!(passed < Duration::from_secs(10), "{passed:?}");
    let mut body = String::new();
    let (first, _) = next(&store, &mut answer).await;
    body.push_str(std::str::from_utf8(&first.unwrap()).unwrap());
    assert_eq!(body, DECLARATION);
    for _ in 0..3 {
        let (space, passed) = next(&store, &mut answer).await;
        assert_eq!(space.as_deref(), Some(&b" "[..]));
        assert!(passed < Duration::from_secs(10), "{passed:?}");
        body.push(' ');
    }
    gate.add_permits(1);
    body.push_str(&rest(answer).await);
    let result = cairn_gateway::xml::parse(body.as_bytes(), "CopyObjectResult").unwrap();
    assert_eq!(
        texts(&result, &["ETag"]),
        [format!("\"{}\"", hex::encode(<md5::Md5 as md5::Digest>::digest("the source")))]
    );
    store.client.send(Call::head("/bucket/copy")).await.expect(200);
}

#[tokio::test]
async fn an_error_after_the_200_is_in_the_body() {
    let (store, gate) = with_held_up("copy_object", Fate::Refused(MetadataError::PreconditionFailed)).await;
    let (answer, _) = store.pass_until(store.client.begin(copy())).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let id = answer.headers()["x-amz-request-id"].to_str().unwrap().to_owned();
    gate.add_permits(1);
    let body = rest(answer).await;
    assert!(body.starts_with(DECLARATION) && body.matches("<?xml").count() == 1, "{body}");
    let error = cairn_gateway::xml::parse(body.as_bytes(), "Error").unwrap();
    assert_eq!(texts(&error, &["Code"]), ["PreconditionFailed"]);
    assert_eq!(
        (texts(&error, &["RequestId"]), texts(&error, &["Resource"])),
        (vec![id], vec!["/bucket/copy".into()])
    );
}

#[tokio::test]
async fn a_completion_and_a_copied_part_may_take_long_too() {
    for operation in ["copy_part", "complete_upload"] {
        let (store, gate) = with_held_up(operation, Fate::Arrives).await;
        let created = store.client.send(Call::post("/bucket/u?uploads")).await.expect(200);
        let id = texts(&created.xml("InitiateMultipartUploadResult"), &["UploadId"]).remove(0);
        let target = format!("/bucket/u?partNumber=1&uploadId={id}");
        let (call, root) = if operation == "copy_part" {
            (Call::put(&target).header("x-amz-copy-source", "bucket/source"), "CopyPartResult")
        } else {
            let part = store.client.send(Call::put(&target).body("part")).await.expect(200);
            let etag = part.header("etag");
            let document = format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
            );
            let complete = Call::post(&format!("/bucket/u?uploadId={id}")).body(document);
            (complete, "CompleteMultipartUploadResult")
        };
        let (answer, _) = store.pass_until(store.client.begin(call)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{operation}");
        gate.add_permits(1);
        let body = rest(answer).await;
        cairn_gateway::xml::parse(body.as_bytes(), root).unwrap();
    }
}

/// Clients expect an early 200 from three operations only. For all others a 200 means that the operation has succeeded.
#[tokio::test]
async fn other_operations_send_no_early_response() {
    let (store, gate) = with_held_up("commit_object", Fate::Refused(MetadataError::PreconditionFailed)).await;
    let put = store.client.send(Call::put("/bucket/k").body("bytes"));
    let late = async {
        for _ in 0..300 {
            store.clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
        gate.add_permits(1);
    };
    let (reply, ()) = tokio::join!(put, late);
    reply.fails(412, "PreconditionFailed");
}

//! The answers on the wire to messages that two parsers could understand differently.

use std::sync::Mutex;

use super::*;

/// A handler that answers all requests and records them.
fn recorder() -> (Router, Arc<Mutex<Vec<String>>>) {
    let served: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = served.clone();
    let router = Router::new().fallback(move |request: Request| {
        seen.lock().unwrap().push(request.uri().path().to_owned());
        async move { request.into_body().collect().await.map_or("broken", |_| "read").into_response() }
    });
    (router, served)
}

/// hyper accepted the first three of these messages. It passed on one length, or none with chunks, so no service could detect
/// them. Bytes that a proxy had forwarded as a body were then served as a request.
#[tokio::test]
async fn a_message_with_two_ends_is_refused_and_the_connection_ends() {
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 5\r\n",
        "X: y\nContent-Length: 5\r\n",
        "X: y\rContent-Length: 5\r\n",
        "X: y\0\r\n",
    ] {
        let (router, served) = recorder();
        let server = Running::start(router, Limits::default(), None).await;
        let mut client = server.connect().await;
        let message = format!(
            "POST /two HTTP/1.1\r\nHost: x\r\n{headers}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
        );
        client.write_all(b"GET /before HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        client.write_all(message.as_bytes()).await.unwrap();
        // The clock does not advance, so only the message can be the reason for the end of the connection.
        let answers = read_to_end(&mut client).await;
        assert_eq!(*served.lock().unwrap(), ["/before"], "{headers:?}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{headers:?}: {answers}");
        assert!(answers.contains("HTTP/1.1 400 "), "{headers:?}: {answers}");
    }
}

#[tokio::test]
async fn a_head_that_arrives_byte_by_byte_gets_the_same_result() {
    let (router, served) = recorder();
    let server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    for byte in b"POST /two HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" {
        client.write_all(&[*byte]).await.unwrap();
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }
    assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 400 "));
    assert!(served.lock().unwrap().is_empty());
}

#[tokio::test]
async fn messages_with_one_end_share_a_connection() {
    let (router, served) = recorder();
    let server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    let body = "x".repeat(300_000);
    let messages = [
        format!("POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        format!(
            "POST /chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n{:x};e=1\r\n{body}\r\n0\r\nT: v\r\n\r\n",
            body.len()
        ),
        "\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
    ];
    for _ in 0..3 {
        client.write_all(messages[..3].concat().as_bytes()).await.unwrap();
    }
    client.write_all(messages[3].as_bytes()).await.unwrap();
    let answers = read_to_end(&mut client).await;
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 10, "{answers}");
    assert_eq!(answers.matches("read").count(), 10, "{answers}");
    assert_eq!(served.lock().unwrap()[..3], ["/length", "/chunks", "/nothing"]);
}

/// `aws s3 sync` of a tree with an empty file hung until its time-out. The upload of the file, which expects `100 Continue`, got
/// its final answer without it, and aws-cli 1 took the answer to its next upload on the connection for a part of that answer.
#[tokio::test]
async fn a_request_without_a_body_that_expects_100_continue_gets_it_before_its_answer() {
    let head = |version: &str, expect: &str| {
        format!("PUT /x HTTP/{version}\r\nHost: x\r\n{expect}Content-Length: 0\r\nConnection: close\r\n\r\n")
    };
    const GO_ON: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    for (version, expect, told) in [
        ("1.1", "Expect: 100-continue\r\n", true),
        ("1.1", "eXPECT:100-Continue \r\n", true),
        ("1.1", "", false),
        ("1.1", "X-Expect: 100-continue\r\n", false),
        ("1.0", "Expect: 100-continue\r\n", false),
    ] {
        let (router, _) = recorder();
        let server = Running::start(router, Limits::default(), None).await;
        let mut client = server.connect().await;
        client.write_all(head(version, expect).as_bytes()).await.unwrap();
        let answer = read_to_end(&mut client).await;
        assert_eq!(answer.starts_with(GO_ON), told, "{version} {expect:?}: {answer}");
        assert_eq!(answer.matches(" 200 OK\r\n").count(), 1, "{version} {expect:?}: {answer}");
    }
    // After a request that waits for its answer, no `100 Continue` is sent, because it would precede that answer.
    let (router, _) = recorder();
    let server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    let both = format!("GET /y HTTP/1.1\r\nHost: x\r\n\r\n{}", head("1.1", "Expect: 100-continue\r\n"));
    client.write_all(both.as_bytes()).await.unwrap();
    let answers = read_to_end(&mut client).await;
    assert!(!answers.contains(GO_ON), "{answers}");
    assert_eq!(answers.matches(" 200 OK\r\n").count(), 2, "{answers}");
}

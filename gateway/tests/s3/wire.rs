//! HTTP below the API: the bytes on a connection.

use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Call, Store};

/// The head of a prepared request in HTTP/1.1, with additional lines.
fn head(request: &Request<Full<bytes::Bytes>>, more: &str) -> String {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    format!("{text}{more}\r\n")
}

/// Sends bytes, and reads until the gateway closes the connection or has sent `until`.
async fn converse(store: &Store, bytes: &[u8], until: &str) -> String {
    let mut stream = TcpStream::connect(store.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(until) {
        let length = stream.read(&mut buffer).await.unwrap();
        if length == 0 {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    text
}

#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let store = Store::start().await;
    let mut request = store.client.prepare(Call::put("/bucket/key"));
    let text = converse(&store, head(&request, "host: another\r\n").as_bytes(), "</Error>").await;
    assert!(text.starts_with("HTTP/1.1 400") && text.contains("<Code>InvalidRequest</Code>"), "{text}");
    let twice = head(&request, "content-length: 1\r\n");
    assert!(converse(&store, twice.as_bytes(), "\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    // With Transfer-Encoding and Content-Length, two readers could disagree about the end of the body.
    let both = head(&request, "transfer-encoding: chunked\r\n") + "0\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let text = converse(&store, both.as_bytes(), "never said").await;
    assert!(text.starts_with("HTTP/1.1 4") && text.matches("HTTP/1.1").count() == 1, "{text}");
    request.headers_mut().remove("host");
    let text = converse(&store, head(&request, "").as_bytes(), "</Error>").await;
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
}

#[tokio::test]
async fn a_body_is_not_requested_before_the_head_is_checked() {
    let store = Store::start().await;
    let sha = "UNSIGNED-PAYLOAD";
    let unsigned = |call: Call| {
        let body = crate::support::Body::Raw { data: Vec::new(), sha256: sha.into() };
        store.client.prepare(call.with(body).header("content-length", "5").header("expect", "100-continue"))
    };
    let bad = [
        (unsigned(Call::put("/nobody/key")), "404"),
        (unsigned(Call::put("/bucket/key").header("x-amz-acl", "public-read")), "400"),
        (unsigned(Call::put("/bucket/key").header("if-match", "\"x\"")), "404"),
        (unsigned(Call::put("/bucket/key").header("x-amz-tagging", "a=1&a=1")), "400"),
    ];
    for (request, status) in bad {
        let text = converse(&store, head(&request, "").as_bytes(), "</Error>").await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        // Otherwise the client would send its next request in place of the body.
        assert!(text.contains("connection: close"), "{text}");
    }
    let mut forged = unsigned(Call::put("/bucket/key"));
    *forged.uri_mut() = "/bucket/other".parse().unwrap();
    let text = converse(&store, head(&forged, "").as_bytes(), "</Error>").await;
    assert!(text.starts_with("HTTP/1.1 403"), "{text}");
    let good = unsigned(Call::put("/bucket/key"));
    let text = converse(&store, head(&good, "").as_bytes(), "\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 100"), "{text}");
}

#[tokio::test]
async fn requests_are_answered_in_order_on_one_connection() {
    let store = Store::start().await;
    let requests: String = ["/bucket?location", "/bucket/none", "/bucket?versioning"]
        .map(|target| head(&store.client.prepare(Call::get(target)), ""))
        .concat();
    let text = converse(&store, requests.as_bytes(), "VersioningConfiguration>").await;
    let order =
        ["LocationConstraint", "NoSuchKey", "VersioningConfiguration"].map(|mark| text.find(mark).unwrap());
    assert!(order.is_sorted(), "{text}");
}

#[tokio::test]
async fn http2_without_tls_is_served() {
    let store = Store::start().await;
    let request = store.client.prepare(Call::get("/bucket?location"));
    let stream = TcpStream::connect(store.address).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    // HTTP/2 has the host in the authority of the URI. The gateway must take the signed host from there.
    let host = parts.headers.remove("host").unwrap();
    parts.uri = format!("http://{}{}", host.to_str().unwrap(), parts.uri).parse().unwrap();
    let response = sender.send_request(Request::from_parts(parts, body)).await.unwrap();
    assert_eq!(response.status(), 200);
}

//! The promises of a listener towards slow, silent and greedy clients, over streams in
//! memory and a clock that the test moves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use cairn_protocol::env::{ManualClock, Timestamp};

mod crowd;
mod framing;
mod internal_tls;
mod rate;

struct Running {
    address: SocketAddr,
    env: Env,
    clock: ManualClock,
    shutdown: CancellationToken,
    served: JoinHandle<Drained>,
}

impl Running {
    async fn start(router: Router, limits: Limits, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (env, clock) = Env::manual(1, Timestamp(0));
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(serve(listener, router, limits, tls, env.clone(), shutdown.clone()));
        Self { address, env, clock, shutdown, served }
    }

    /// Advances the clock by `time`, after all tasks that can run have run.
    async fn pass(&self, time: Duration) {
        let settle = async || {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        };
        settle().await;
        self.clock.advance(time);
        settle().await;
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Advances the clock until `event` happens.
    async fn while_time_passes<T>(&self, event: impl Future<Output = T>) -> T {
        let mut event = std::pin::pin!(event);
        loop {
            tokio::select! {
                biased;
                outcome = event.as_mut() => return outcome,
                () = tokio::task::yield_now() => self.clock.advance(Duration::from_millis(100)),
            }
        }
    }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

async fn echo(request: Request) -> Response {
    match request.into_body().collect().await {
        Ok(body) => body.to_bytes().into_response(),
        Err(error) => match RequestBodyError::find(&error) {
            Some(RequestBodyError::Stalled | RequestBodyError::TooSlow) => {
                StatusCode::REQUEST_TIMEOUT.into_response()
            }
            Some(RequestBodyError::Broken(_)) | None => StatusCode::BAD_REQUEST.into_response(),
        },
    }
}

async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    // A reset counts as an end, too.
    let _ = stream.read_to_end(&mut all).await;
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let router =
        Router::new().route("/{n}", get(|axum::extract::Path(n): axum::extract::Path<String>| async { n }));
    let server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    let requests: String = (1..=5)
        .map(|n| {
            let close = if n == 5 { "Connection: close\r\n" } else { "" };
            format!("GET /answer-{n} HTTP/1.1\r\nHost: x\r\n{close}\r\n")
        })
        .collect();
    client.write_all(requests.as_bytes()).await.unwrap();
    let answers = read_to_end(&mut client).await;
    let places: Vec<_> = (1..=5).map(|n| answers.find(&format!("answer-{n}")).unwrap()).collect();
    assert!(places.is_sorted(), "{answers}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_headers_is_cut_off() {
    let server = Running::start(hello(), Limits::default(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: 1").await.unwrap();
    assert_eq!(server.while_time_passes(read_to_end(&mut client)).await, "");
}

#[tokio::test]
async fn the_time_for_headers_holds_for_later_requests_of_a_connection_too() {
    // The idle time-out is endless, so that only the time-out for headers can end the connection.
    let limits = Limits { idle_timeout: Duration::from_secs(1 << 40), ..Limits::default() };
    let server = Running::start(hello(), limits, None).await;
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let mut filled = 0;
    while !answer[..filled].ends_with(b"hello") {
        filled += client.read(&mut answer[filled..]).await.unwrap();
    }
    client.write_all(b"GET / HT").await.unwrap();
    assert_eq!(server.while_time_passes(read_to_end(&mut client)).await, "");
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let server = Running::start(hello(), Limits::default(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = server.while_time_passes(read_to_end(&mut client)).await;
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_body_that_makes_no_progress_is_answered_with_an_error_and_closed() {
    let server = Running::start(Router::new().route("/", post(echo)), Limits::default(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this").await.unwrap();
    let answer = server.while_time_passes(read_to_end(&mut client)).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_ends_early_has_another_error_than_one_that_stalls() {
    let (sender, mut seen) = mpsc::channel(1);
    let router = Router::new().route(
        "/",
        post(move |request: Request| async move {
            let error = request.into_body().collect().await.err();
            let broken = error.as_ref().and_then(|error| RequestBodyError::find(error));
            sender.send(matches!(broken, Some(RequestBodyError::Broken(_)))).await.unwrap();
        }),
    );
    let server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this").await.unwrap();
    drop(client);
    assert_eq!(seen.recv().await, Some(true));
}

/// A handler with an endless answer, and a value of which the answer holds a reference until it is dropped.
fn endless() -> (Router, Arc<()>) {
    let alive = Arc::new(());
    let held = alive.clone();
    let router = Router::new().route(
        "/",
        get(move || {
            let held = held.clone();
            async move {
                let piece = Bytes::from(vec![7; 64 * 1024]);
                Body::from_stream(futures_util::stream::repeat(piece).map(move |piece| {
                    let _while_the_answer_lives = &held;
                    Ok::<_, std::io::Error>(piece)
                }))
            }
        }),
    );
    (router, alive)
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let (router, alive) = endless();
    let server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    client.readable().await.unwrap();
    // The test and the router hold one reference each, and the answer a third.
    let given_up = async {
        while Arc::strong_count(&alive) > 2 {
            tokio::task::yield_now().await;
        }
    };
    server.while_time_passes(given_up).await;
    drop(client);
}

#[tokio::test]
async fn a_client_that_sends_all_of_a_refused_body_still_reads_the_answer() {
    let router = Router::new().route("/", post(|| async { (StatusCode::FORBIDDEN, "not you") }));
    let server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    // More than the kernel buffers, so that closing at once would reset the connection.
    let body = vec![1; 32 << 20];
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&body).await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("not you"), "{answer}");
}

#[tokio::test]
async fn a_refused_client_that_never_stops_sending_is_cut_off() {
    let router = Router::new().route("/", post(|| async { StatusCode::FORBIDDEN }));
    let server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let endless = async { while client.write_all(b"4\r\nmore\r\n").await.is_ok() {} };
    server.while_time_passes(endless).await;
}

#[tokio::test]
async fn headers_above_the_limit_are_refused_with_431() {
    let server = Running::start(hello(), Limits::default(), None).await;
    let mut client = server.connect().await;
    let line = format!("X-Large: {}\r\n", "x".repeat(100 * 1024));
    client.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\n{line}\r\n").as_bytes()).await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");

    let mut client = server.connect().await;
    let lines: String = (0..600).map(|n| format!("X-{n}: 1\r\n")).collect();
    client.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes()).await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn at_the_cap_an_idle_connection_makes_room_for_a_new_one() {
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let server = Running::start(hello(), limits, None).await;
    let mut first = server.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut second = server.connect().await;
    second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    // The clock does not advance, so no time-out ends the first connection.
    assert!(read_to_end(&mut first).await.ends_with("hello"));
    assert!(read_to_end(&mut second).await.ends_with("hello"));
}

/// A handler that notifies the test when it begins, and answers when the test notifies it.
fn gated() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inner_begun, inner_go) = (begun.clone(), go.clone());
    let router = Router::new().route(
        "/",
        get(move || async move {
            inner_begun.notify_one();
            inner_go.notified().await;
            "finished"
        }),
    );
    (router, begun, go)
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_accepts_nothing_new() {
    let (router, begun, go) = gated();
    let server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    begun.notified().await;
    server.shutdown.cancel();
    // The port is free when the loop has ended. A connection that was still in the kernel's queue is closed without an answer.
    while let Ok(mut late) = TcpStream::connect(server.address).await {
        assert_eq!(read_to_end(&mut late).await, "");
    }
    go.notify_one();
    assert!(read_to_end(&mut client).await.ends_with("finished"));
    assert_eq!(server.served.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_whatever_is_in_flight() {
    let (router, begun, _never) = gated();
    let mut server = Running::start(router, Limits::default(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    begun.notified().await;
    server.shutdown.cancel();
    let served = std::mem::replace(&mut server.served, tokio::spawn(async { Drained { cut: 0 } }));
    assert_eq!(server.while_time_passes(served).await.unwrap(), Drained { cut: 1 });
    assert_eq!(read_to_end(&mut client).await, "");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_a_drain() {
    let server = Running::start(hello(), Limits::default(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    client.readable().await.unwrap();
    server.shutdown.cancel();
    // The clock does not advance, so only the drain can end the connection.
    assert_eq!(server.served.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn http2_by_prior_knowledge_serves_requests_at_once_and_knows_its_peer() {
    let router = Router::new()
        .route(
            "/peer",
            get(|Extension(peer): Extension<Peer>| async move { format!("{} {:?}", peer.address, peer.tls) }),
        )
        .route("/", post(echo));
    let server = Running::start(router, Limits::default(), None).await;
    let stream = server.connect().await;
    let local = stream.local_addr().unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let call = |method: &'static str, path: &'static str, body: Vec<u8>| {
        let mut sender = sender.clone();
        async move {
            let uri = format!("http://x{path}");
            let request = Request::builder().method(method).uri(uri).body(Body::from(body)).unwrap();
            sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes()
        }
    };
    // Two concurrent requests, with three times the flow-control window in each direction.
    let large = vec![42; 3 << 20];
    let (a, b, peer) = tokio::join!(
        call("POST", "/", large.clone()),
        call("POST", "/", large.clone()),
        call("GET", "/peer", Vec::new()),
    );
    assert!(a == large && b == large);
    assert_eq!(peer, format!("{local} None"));
}

#[tokio::test]
async fn an_http2_client_that_leaves_an_answer_unread_is_cut_off() {
    let (router, _alive) = endless();
    let limits = Limits { write_stall_timeout: Duration::from_secs(3), ..Limits::default() };
    let server = Running::start(router, limits, None).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(server.connect().await))
            .await
            .unwrap();
    // The connection's task runs, so pings are answered. Only the answer's window stays closed.
    let connection = tokio::spawn(connection);
    let request = Request::builder().uri("http://x/").body(Body::empty()).unwrap();
    let unread = sender.send_request(request).await.unwrap();
    let ended = server.while_time_passes(connection).await;
    drop(unread);
    assert!(ended.unwrap().is_err() || sender.is_closed());
}

fn certificate() -> (Arc<ServerConfig>, Arc<rustls::ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let server = tls::server_config(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    (server.unwrap(), Arc::new(client))
}

#[tokio::test]
async fn over_tls_the_client_chooses_http2_or_http11_by_alpn() {
    let (tls, client) = certificate();
    let server = Running::start(hello(), Limits::default(), Some(tls)).await;
    let name = ServerName::try_from("localhost").unwrap();
    let connect = |config: Arc<rustls::ClientConfig>| {
        let name = name.clone();
        let stream = server.connect();
        async move { tokio_rustls::TlsConnector::from(config).connect(name, stream.await).await.unwrap() }
    };

    let stream = connect(client.clone()).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().uri("https://localhost/").body(Body::empty()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");

    let mut plain = (*client).clone();
    plain.alpn_protocols.clear();
    let mut stream = connect(Arc::new(plain)).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("hello"));
}

#[tokio::test]
async fn a_tls_handshake_that_stops_half_way_is_cut_off() {
    let (tls, _) = certificate();
    let server = Running::start(hello(), Limits::default(), Some(tls)).await;
    let mut client = server.connect().await;
    client.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    assert_eq!(server.while_time_passes(read_to_end(&mut client)).await, "");
}

#[test]
fn a_certificate_without_its_key_is_refused_in_words() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let refused = |certificate: &str, key: &str| {
        tls::server_config(certificate.as_bytes(), key.as_bytes())
            .err()
            .map(|error| error.to_string())
            .unwrap()
    };
    assert!(refused("nothing", &made.signing_key.serialize_pem()).contains("certificate"));
    assert!(refused(&made.cert.pem(), "nothing").contains("key"));
    assert!(refused(&made.cert.pem(), &other.signing_key.serialize_pem()).contains("cannot be used"));
}

/// A source that fails a few times, as accept(2) does without file descriptors, and then yields one connection.
struct Exhausted {
    failures: usize,
    inner: TcpListener,
}

impl Accept for Exhausted {
    type Stream = TcpStream;
    async fn accept(&mut self) -> std::io::Result<(TcpStream, SocketAddr)> {
        const EMFILE: i32 = 24;
        if self.failures > 0 {
            self.failures -= 1;
            return Err(std::io::Error::from_raw_os_error(EMFILE));
        }
        Accept::accept(&mut self.inner).await
    }
}

#[tokio::test]
async fn without_file_descriptors_the_loop_waits_and_tries_again() {
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = inner.local_addr().unwrap();
    let (env, clock) = Env::manual(1, Timestamp(0));
    let shutdown = CancellationToken::new();
    let accept = Exhausted { failures: 3, inner };
    let served = serve(accept, hello(), Limits::default(), None, env.clone(), shutdown.clone());
    let served = tokio::spawn(served);
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let answer = async {
        let mut read = std::pin::pin!(read_to_end(&mut client));
        loop {
            tokio::select! {
                biased;
                answer = read.as_mut() => return answer,
                () = tokio::task::yield_now() => clock.advance(Duration::from_millis(10)),
            }
        }
    };
    assert!(answer.await.ends_with("hello"));
    assert!(env.monotonic() >= Duration::from_millis(300), "it did not wait between its attempts");
    shutdown.cancel();
    served.await.unwrap();
}

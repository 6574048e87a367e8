//! Clients that send or read a trickle of bytes.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits { rate_min: 1000, rate_window: 10 * SECOND, ..Limits::default() }
}

/// Sends a piece every second until the server closes. Returns how long that takes, and the answer.
async fn trickle(server: &Running, client: &mut TcpStream, piece: &[u8]) -> (Duration, String) {
    let began = server.env.monotonic();
    let mut answer = Vec::new();
    loop {
        let _ = client.write_all(piece).await;
        server.pass(SECOND).await;
        match client.try_read_buf(&mut answer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    (server.env.monotonic() - began, String::from_utf8_lossy(&answer).into_owned())
}

/// Only the time without any byte was limited, so a client that sent a byte every 29 s held a place and memory for ever.
#[tokio::test]
async fn a_body_that_trickles_is_answered_with_an_error_and_closed() {
    let server = Running::start(Router::new().route("/", post(echo)), limits(), None).await;
    let mut client = server.connect().await;
    client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
    let (took, answer) = trickle(&server, &mut client, b"some bytes").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!((10 * SECOND..=20 * SECOND).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_slow_body_that_is_fast_enough_is_read_to_its_end() {
    let server = Running::start(Router::new().route("/", post(echo)), limits(), None).await;
    let mut client = server.connect().await;
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..50 {
        client.write_all(&[7; 1200]).await.unwrap();
        server.pass(SECOND).await;
    }
    let answer = read_to_end(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_for_a_slow_server_is_not_cut_off() {
    let (go, read) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (going, reading) = (go.clone(), read.clone());
    let handler = move |request: Request| async move {
        // The server is slow to read and to answer.
        going.notified().await;
        let length = request.into_body().collect().await.unwrap().to_bytes().len();
        reading.notify_one();
        going.notified().await;
        length.to_string()
    };
    let server = Running::start(Router::new().route("/", post(handler)), limits(), None).await;
    let mut client = server.connect().await;
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    client.write_all(b"hello").await.unwrap();
    server.pass(1000 * SECOND).await;
    go.notify_one();
    read.notified().await;
    server.pass(1000 * SECOND).await;
    go.notify_one();
    assert!(read_to_end(&mut client).await.ends_with('5'));
}

#[tokio::test]
async fn a_client_that_reads_a_trickle_is_cut_off() {
    let (router, _alive) = endless();
    // Bytes in the kernel's buffers count as read. They are far fewer than the rate requires.
    let never = Duration::from_secs(1 << 40);
    let limits = Limits { rate_min: 100 << 20, write_stall_timeout: never, ..limits() };
    let server = Running::start(router, limits, None).await;
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut buffer = vec![0; 256 << 10];
    let cut_off = async {
        while client.read(&mut buffer).await.is_ok_and(|length| length > 0) {
            server.pass(SECOND).await;
        }
    };
    cut_off.await;
    assert!(server.env.monotonic() >= 10 * SECOND);
}

#[tokio::test]
async fn an_http2_client_that_reads_a_trickle_is_cut_off() {
    let (router, _alive) = endless();
    let limits = Limits { rate_min: 100 << 20, ..limits() };
    let server = Running::start(router, limits, None).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(server.connect().await))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::builder().uri("http://x/").body(Body::empty()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    while let Some(Ok(_)) = body.frame().await {
        server.pass(SECOND).await;
    }
    assert!(server.env.monotonic() >= 10 * SECOND);
}

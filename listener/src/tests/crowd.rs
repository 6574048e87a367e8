//! The promise: neither silent connections nor clients with very many connections keep other clients from being served.

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// 4,096 silent connections held all places until their header time-out. No other client was served for 20 s, and an attacker
/// could then open the connections again.
#[tokio::test]
async fn at_the_cap_those_without_a_request_make_room_the_oldest_first() {
    let limits = Limits { connections_max: 3, ..Limits::default() };
    let server = Running::start(hello(), limits, None).await;
    let mut silent = Vec::new();
    for sent in ["", "GET / HT", "G"] {
        let mut client = server.connect().await;
        client.write_all(sent.as_bytes()).await.unwrap();
        // The listener accepts this connection before the next one.
        server.pass(Duration::from_millis(600)).await;
        silent.push(client);
    }
    for mut gone in silent {
        let mut client = server.connect().await;
        client.write_all(GET).await.unwrap();
        assert!(read_to_end(&mut client).await.ends_with("hello"));
        assert_eq!(read_to_end(&mut gone).await, "");
        // Another silent connection takes the place. It is younger than those that are left.
        std::mem::forget(server.connect().await);
        server.pass(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn over_tls_those_that_do_not_even_shake_hands_make_room() {
    let (tls, client) = certificate();
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let server = Running::start(hello(), limits, Some(tls)).await;
    let mut silent = server.connect().await;
    server.pass(Duration::from_secs(1)).await;
    let mut config = (*client).clone();
    config.alpn_protocols.clear();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, server.connect().await).await.unwrap();
    stream.write_all(GET).await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("hello"));
    assert_eq!(read_to_end(&mut silent).await, "");
}

#[tokio::test]
async fn an_idle_http2_client_that_does_not_go_holds_its_place_for_a_moment_only() {
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let server = Running::start(hello(), limits, None).await;
    let mut http2 = server.connect().await;
    // The client sends a preface and empty settings, and then nothing.
    http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    server.pass(Duration::from_secs(1)).await;
    let mut client = server.connect().await;
    client.write_all(GET).await.unwrap();
    assert!(server.while_time_passes(read_to_end(&mut client)).await.ends_with("hello"));
    assert!(server.env.monotonic() < Duration::from_secs(4), "{:?}", server.env.monotonic());
}

#[tokio::test]
async fn one_client_does_not_get_all_places() {
    let (router, begun, go) = gated();
    let limits = Limits { connections_max: 10, connections_per_address_max: 2, ..Limits::default() };
    let server = Running::start(router, limits, None).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.write_all(GET).await.unwrap();
        begun.notified().await;
        busy.push(client);
    }
    assert_eq!(read_to_end(&mut server.connect().await).await, "");
    for mut client in busy {
        go.notify_one();
        assert!(read_to_end(&mut client).await.ends_with("finished"));
    }
}

//! A listener that serves only the parts of a cluster, over mutual TLS.

use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::tls::Identity;

use super::*;

fn identity(env: &Env) -> Identity {
    let secret = ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap();
    Identity::of_secret(&secret, env.clone()).unwrap()
}

#[tokio::test]
async fn plain_http_on_a_port_of_tls_is_explained() {
    let (env, _) = Env::manual(5, Timestamp(1_700_000_000_000));
    let tls = identity(&env).server_config().unwrap();
    let server = Running::start(Router::new(), Limits::internal(), Some(tls)).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("This port speaks TLS: write its address with https://"), "{answer}");
}

/// The listener's time-out ends handshakes that make no progress.
#[tokio::test]
async fn a_handshake_that_goes_nowhere_is_ended() {
    let (env, _) = Env::manual(5, Timestamp(1_700_000_000_000));
    let tls = identity(&env).server_config().unwrap();
    let server = Running::start(Router::new(), Limits::internal(), Some(tls)).await;
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01", b"G"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut end = Box::pin(async move {
            let mut answer = Vec::new();
            // The connection ends or is reset.
            let _ = stream.read_to_end(&mut answer).await;
        });
        while futures_util::poll!(&mut end).is_pending() {
            server.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    }
}

//! A listener that serves only the parts of a cluster, over mutual TLS.

use cairn_protocol::secret::ClusterSecret;
use cairn_protocol::tls::Identity;

use super::*;

/// Handshakes that do not end are ended by the listener's time-out, and cost it little until then.
#[tokio::test]
async fn a_handshake_that_goes_nowhere_is_ended() {
    let (env, _) = Env::manual(5, Timestamp(1_700_000_000_000));
    let secret = ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap();
    let identity = Identity::of_secret(&secret, env).unwrap();
    let tls = identity.server_config().unwrap();
    let server = Running::start(Router::new(), Limits::internal(), Some(tls)).await;
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01", b"G"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut end = Box::pin(async move {
            let mut answer = Vec::new();
            // Ended, or reset.
            let _ = stream.read_to_end(&mut answer).await;
        });
        while futures_util::poll!(&mut end).is_pending() {
            server.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    }
}

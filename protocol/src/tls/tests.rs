//! Real connections between parts of the same cluster and of different ones.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::block::BlockError;
use crate::env::{Env, ManualClock, Timestamp};
use crate::rpc::RpcClient;
use crate::rpc::RpcServer;
use crate::secret::ClusterSecret;
use crate::signature::Admission;

crate::rpc_service! {
    /// A service that returns its request.
    Echo, echo_router, "echo", BlockError {
        /// Returns the request.
        say(String) -> String;
    }
}

struct Parrot;

#[async_trait::async_trait]
impl Echo for Parrot {
    async fn say(&self, request: String) -> Result<String, BlockError> {
        Ok(request)
    }
}

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn secret() -> ClusterSecret {
    ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap()
}

fn other_secret() -> ClusterSecret {
    ClusterSecret::new("the secret of another cluster than ours").unwrap()
}

/// An environment with a manual clock. Parts that share it share the clock.
fn env() -> (Env, ManualClock) {
    Env::manual(5, NOW)
}

/// A part that listens.
struct Server {
    address: std::net::SocketAddr,
    _stop: DropGuard,
}

/// Yields the connections whose handshakes succeed, one after another. What real parts listen with is in
/// `cairn-listener`, which knows this crate.
struct TlsListener {
    socket: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.socket.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.socket.local_addr()
    }
}

async fn serve(identity: Option<&Identity>, env: &Env) -> Server {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let service: Arc<dyn Echo> = Arc::new(Parrot);
    let router = echo_router(RpcServer { service, admission: Admission::new(secret(), env.clone()) });
    let stop = CancellationToken::new();
    let ended = stop.clone().cancelled_owned();
    match identity {
        Some(identity) => {
            let listener = TlsListener { socket, acceptor: identity.server_config().unwrap().into() };
            tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(ended).await });
        }
        None => {
            tokio::spawn(async move { axum::serve(socket, router).with_graceful_shutdown(ended).await });
        }
    }
    Server { address, _stop: stop.drop_guard() }
}

async fn say(scheme: &str, server: &Server, identity: &Identity, env: &Env) -> Result<String, String> {
    let base = format!("{scheme}://{}", server.address);
    let client = RpcClient::with_identity(&base, secret(), identity, env.clone()).unwrap();
    client.say("hello".to_owned()).await.map_err(|error| error.to_string())
}

fn of(secret: &ClusterSecret, env: &Env) -> Identity {
    Identity::of_secret(secret, env.clone()).unwrap()
}

#[tokio::test]
async fn parts_with_the_same_secret_understand_each_other() {
    let (env, _clock) = env();
    let server = serve(Some(&of(&secret(), &env)), &env).await;
    assert_eq!(say("https", &server, &of(&secret(), &env), &env).await.unwrap(), "hello");
    // A server without TLS needs no certificate.
    let plain = serve(None, &env).await;
    assert_eq!(say("http", &plain, &of(&other_secret(), &env), &env).await.unwrap(), "hello");
}

#[test]
fn every_part_derives_the_same_authority_from_the_secret_and_another_from_another() {
    let of = |secret: &ClusterSecret| Authority::of_secret(secret).unwrap().certificate().to_vec();
    assert_eq!(of(&secret()), of(&secret()));
    assert_ne!(of(&secret()), of(&other_secret()));
    // Anyone can see the certificate, so it must not contain the key id.
    let (authority, key_id) = (of(&secret()), secret().key_id().to_owned());
    assert!(!authority.windows(key_id.len()).any(|window| window == key_id.as_bytes()));
}

#[tokio::test]
async fn a_part_of_another_cluster_gets_no_further_than_the_handshake_and_a_sentence() {
    let (env, _clock) = env();
    let server = serve(Some(&of(&secret(), &env)), &env).await;
    let error = say("https", &server, &of(&other_secret(), &env), &env).await.unwrap_err();
    assert!(error.contains("its certificate is of another authority than ours"), "{error}");
    assert!(error.contains("give all parts the same cluster secret"), "{error}");
}

/// Connects with any certificate or none, and accepts every server.
async fn intrude(server: &Server, shown: Option<&Identity>) -> String {
    let config = probe_config(shown, Env::system()).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let answer = async {
        let mut stream = connector.connect("cairn.internal".try_into().unwrap(), stream).await?;
        stream
            .write_all(
                b"POST /v1/echo/say HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
            )
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    match answer.await {
        Ok(answer) => answer,
        Err(error) => explain(&error).unwrap_or_else(|| error.to_string()),
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_of_the_cluster_is_refused() {
    let env = Env::system();
    let server = serve(Some(&of(&secret(), &env)), &env).await;
    let answer = intrude(&server, None).await;
    assert!(answer.contains("it asks for a certificate, and we showed none"), "{answer}");
    let answer = intrude(&server, Some(&of(&other_secret(), &env))).await;
    assert!(answer.contains("it refuses our certificate, which is of another authority"), "{answer}");
    // With the right certificate the request arrives, and is refused because it is not signed.
    let answer = intrude(&server, Some(&of(&secret(), &env))).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("Unauthorized"), "{answer}");
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused_at_either_end_and_its_maker_renews_it_in_time() {
    let ((early, clock), (late, late_clock)) = (env(), env());
    late_clock.advance(Duration::from_secs(30 * 3600));
    let (old, new) = (of(&secret(), &early), of(&secret(), &late));
    // A part with a later clock refuses the certificate as expired.
    let server = serve(Some(&old), &late).await;
    let error = say("https", &server, &new, &late).await.unwrap_err();
    assert!(error.contains("its certificate has expired"), "{error}");
    let server = serve(Some(&new), &late).await;
    let error = say("https", &server, &old, &early).await.unwrap_err();
    assert!(error.contains("not valid yet"), "{error}");
    // When the part's own clock advances, it renews the certificate without a restart.
    clock.advance(Duration::from_secs(30 * 3600));
    assert_eq!(say("https", &server, &old, &late).await.unwrap(), "hello");
}

#[tokio::test]
async fn tls_on_a_port_of_plain_http_is_explained() {
    let (env, _clock) = env();
    let server = serve(None, &env).await;
    let error = say("https", &server, &of(&secret(), &env), &env).await.unwrap_err();
    assert!(error.contains("it does not speak TLS: write its address with http://"), "{error}");
}

/// An operator's own certificate authority.
struct Operator {
    authority: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Operator {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self { authority: rcgen::CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    /// Writes a certificate for `name` into `directory`, and the authority's.
    fn write(&self, directory: &Path, name: &str) {
        use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ServerAuth, ClientAuth];
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(directory.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(directory.join("ca.pem"), self.authority.as_ref().pem()).unwrap();
    }
}

fn files(directory: &Path, name: &str) -> IdentityFiles {
    let file = |name: &str| directory.join(name);
    let name = name.to_owned();
    IdentityFiles { certificate: file("cert.pem"), key: file("key.pem"), authority: file("ca.pem"), name }
}

#[tokio::test]
async fn an_operator_s_certificates_are_taken_and_taken_again_when_they_are_replaced() {
    let (env, clock) = env();
    let (first, second) = (Operator::new(), Operator::new());
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    first.write(there.path(), "cairn.example.com");
    first.write(here.path(), "cairn.example.com");
    let load = |directory: &Path| Identity::of_files(files(directory, "cairn.example.com"), env.clone());
    let (server_s, client_s) = (load(there.path()).unwrap(), load(here.path()).unwrap());
    let server = serve(Some(&server_s), &env).await;
    assert_eq!(say("https", &server, &client_s, &env).await.unwrap(), "hello");
    // The cluster's own authority is no longer trusted.
    say("https", &server, &of(&secret(), &env), &env).await.unwrap_err();

    // Another authority, for the one and then for the other. No part is restarted.
    let stop = CancellationToken::new();
    for identity in [&server_s, &client_s] {
        let (identity, stop) = (identity.clone(), stop.clone());
        tokio::spawn(async move { identity.keep_current(stop).await });
    }
    second.write(there.path(), "cairn.example.com");
    second.write(here.path(), "cairn.example.com");
    let expected = load(here.path()).unwrap().current().key.cert.clone();
    for identity in [&server_s, &client_s] {
        let theirs =
            load(if std::ptr::eq(identity, &client_s) { here.path() } else { there.path() }).unwrap();
        while identity.current().key.cert != theirs.current().key.cert {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(client_s.current().key.cert, expected);
    assert_eq!(say("https", &server, &client_s, &env).await.unwrap(), "hello");

    // A half-finished replacement is not used, and the old certificate stays.
    std::fs::write(here.path().join("cert.pem"), "nothing").unwrap();
    client_s.reload_for_test().await;
    assert_eq!(say("https", &server, &client_s, &env).await.unwrap(), "hello");
    stop.cancel();
}

#[tokio::test]
async fn an_authority_that_certifies_others_too_does_not_let_them_in() {
    let env = Env::system();
    let operator = Operator::new();
    let directories: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    operator.write(directories[0].path(), "cairn.internal");
    operator.write(directories[1].path(), "mail.example.com");
    let part = Identity::of_files(files(directories[0].path(), "cairn.internal"), env.clone()).unwrap();
    let stranger = Identity::of_files(files(directories[1].path(), "mail.example.com"), env.clone()).unwrap();
    let server = serve(Some(&part), &env).await;
    let answer = intrude(&server, Some(&stranger)).await;
    assert!(!answer.starts_with("HTTP"), "{answer}");
    let server = serve(Some(&stranger), &env).await;
    let error = say("https", &server, &part, &env).await.unwrap_err();
    assert!(error.contains("its certificate is not for this cluster's name"), "{error}");
    // A part that is configured with a wrong name does not start.
    let wrong = Identity::of_files(files(directories[1].path(), "cairn.internal"), env).unwrap_err();
    assert!(wrong.to_string().contains("cannot be used"), "{wrong}");
}

#[test]
fn an_error_about_a_file_contains_its_name() {
    let directory = tempfile::tempdir().unwrap();
    Operator::new().write(directory.path(), "cairn.internal");
    let load = |name: &str| Identity::of_files(files(directory.path(), name), Env::system());
    load("cairn.internal").unwrap();
    assert!(load("not a name").unwrap_err().to_string().contains("not a name is no name"));
    let key = directory.path().join("key.pem");
    std::fs::write(&key, "no key").unwrap();
    let error = load("cairn.internal").unwrap_err().to_string();
    assert_eq!(error, format!("{} holds no readable private key in PEM", key.display()));
    std::fs::remove_file(&key).unwrap();
    assert!(
        load("cairn.internal")
            .unwrap_err()
            .to_string()
            .starts_with(&format!("cannot read {}", key.display()))
    );
    // A key that belongs to another certificate.
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(load("cairn.internal").unwrap_err(), TlsError::Certificate(_)));
}

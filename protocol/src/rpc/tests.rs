//! Calls and answers: paths that do not exist, peers that restart, and peers that do not know the secret.

mod properties;

use super::*;
use crate::block::BlockError;
use axum::body::{Body, to_bytes};
use axum::http::Method;
use tower::ServiceExt;

async fn ask(method: Method, path: &str) -> (StatusCode, BlockError) {
    let router = Router::new().route("/v1/thing", axum::routing::post(|| async { "done" }));
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let answer = with_fallbacks(router).oneshot(request).await.unwrap();
    let status = answer.status();
    (status, decode_error(status.as_u16(), &to_bytes(answer.into_body(), 1000).await.unwrap()))
}

#[tokio::test]
async fn a_call_of_another_version_is_answered_with_the_supported_one() {
    let (status, error) = ask(Method::POST, "/v2/thing").await;
    let reason = "this node speaks version 1 of the protocol, not version 2".to_owned();
    assert_eq!((status, error), (StatusCode::NOT_FOUND, BlockError::Malformed { reason }));
}

#[tokio::test]
async fn an_unknown_path_or_method_is_answered_with_a_typed_error() {
    let (status, error) = ask(Method::POST, "/v1/nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(matches!(error, BlockError::Malformed { .. }), "{error:?}");
    let (status, error) = ask(Method::GET, "/v1/thing").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(matches!(error, BlockError::Malformed { .. }), "{error:?}");
}

/// A port on which nothing listens until the test calls `listen`.
fn closed_port() -> (tokio::net::TcpSocket, String) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("http://{}", socket.local_addr().unwrap());
    (socket, base)
}

rpc_service! {
    /// Does it.
    Thing, thing_router, "thing", BlockError {
        /// Does it.
        act(u64) -> String;
    }
}

struct Actor;

#[async_trait::async_trait]
impl Thing for Actor {
    async fn act(&self, _: u64) -> Result<String, BlockError> {
        Ok("done".to_owned())
    }
}

fn secret() -> ClusterSecret {
    ClusterSecret::new("a secret that is long enough for tests").unwrap()
}

fn client(base: &str, patience: Duration) -> RpcClient {
    RpcClient::new(base, secret(), Env::system()).unwrap().patient(patience)
}

#[tokio::test]
async fn a_peer_that_restarts_is_waited_for_and_one_that_stays_away_is_not() {
    let (socket, base) = closed_port();
    let (impatient, patient) = (client(&base, Duration::ZERO), client(&base, Duration::from_secs(60)));
    let refused = impatient.act(1).await;
    assert!(matches!(refused, Err(BlockError::Unreachable { .. })), "{refused:?}");

    let mut call = patient.act(1);
    // The client without patience fails at each attempt meanwhile.
    for _ in 0..5 {
        assert!(futures_util::poll!(&mut call).is_pending());
        impatient.act(1).await.unwrap_err();
    }
    let service: Arc<dyn Thing> = Arc::new(Actor);
    let router = thing_router(RpcServer { service, admission: Admission::new(secret(), Env::system()) });
    let listener = socket.listen(16).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    assert_eq!(call.await.unwrap(), "done");
}

/// Gives every call the same answer, like an attacker that took the peer's port and does not know the secret.
async fn impostor(status: StatusCode, body: &'static str) -> BlockError {
    let (socket, base) = closed_port();
    let router = Router::new().fallback(move || async move { (status, body) });
    let listener = socket.listen(16).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    client(&base, Duration::ZERO).act(1).await.unwrap_err()
}

/// Answers were not signed. A process that took the metanode's port could send a gateway its own root credentials.
#[tokio::test]
async fn only_a_refusal_is_accepted_without_a_signature() {
    let not_ours = |error: &BlockError| matches!(error, BlockError::Unreachable { reason } if reason.contains("not as a part of this cluster"));
    let error = impostor(StatusCode::OK, "\"done\"").await;
    assert!(not_ours(&error), "{error}");
    let error = impostor(StatusCode::NOT_FOUND, r#"{"code":"NotFound"}"#).await;
    assert!(not_ours(&error), "{error}");
    let error = impostor(StatusCode::FORBIDDEN, r#"{"code":"Unauthorized","reason":"no"}"#).await;
    assert_eq!(error, BlockError::Unauthorized { reason: "no".to_owned() });
    let error = impostor(StatusCode::BAD_GATEWAY, "the proxy is tired\n").await;
    assert!(error.to_string().ends_with("status 502 and no known error: the proxy is tired"), "{error}");
}

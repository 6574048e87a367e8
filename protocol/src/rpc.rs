//! Remote calls: a service trait, its HTTP client and its HTTP router from one list of operations,
//! so that the call in the same process and the call over the network cannot drift apart.
//!
//! A call is `POST /v1/<service>/<operation>` with a JSON body, signed with the cluster's secret.
//! The answer is JSON; an error is `{"code": …, "message": …}` with a status of 4xx or 5xx.
//!
//! The first part of the path is the version of the protocol. Who asks for another one is told in words which there
//! is: see [`with_fallbacks`].

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::env::Env;
use crate::secret::{ClusterSecret, SecretError};

/// The largest request or answer: the completion of an upload of 10,000 parts, or a page of a block
/// report, with room to spare. It stops a confused peer from filling our memory.
pub const MESSAGE_LENGTH_MAX: usize = 64 * 1024 * 1024;

/// The version of the protocol between the parts: the first part of every path but `/health` and `/events`.
pub const PROTOCOL_VERSION: u32 = 1;

/// Name of the header that carries the id of the client's request into all logs it causes.
pub const REQUEST_ID_HEADER: &str = "x-cairn-request-id";

tokio::task_local! {
    /// The id of the client's request that this task serves.
    pub static REQUEST_ID: String;
}

/// The id of the client's request that this task serves, if there is one.
pub fn current_request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// An error that can cross the wire.
pub trait WireError: Serialize + DeserializeOwned + std::fmt::Display + Send + Sync + 'static {
    /// The HTTP status that carries it.
    fn status(&self) -> u16;
    /// The peer could not be reached, did not answer in time, or answered nonsense. Whether it did
    /// what it was asked is unknown.
    fn unavailable(reason: String) -> Self;
    /// The request was not authentic.
    fn unauthorized(reason: SecretError) -> Self;
    /// The request could not be understood.
    fn malformed(reason: String) -> Self;
}

/// The constructors of [`WireError`], for an error whose variants `Unavailable`, `Unauthorized` and
/// `Malformed` have a `reason` in words.
macro_rules! common_errors {
    () => {
        fn unavailable(reason: String) -> Self {
            Self::Unavailable { reason }
        }

        fn unauthorized(reason: $crate::secret::SecretError) -> Self {
            Self::Unauthorized { reason: reason.to_string() }
        }

        fn malformed(reason: String) -> Self {
            Self::Malformed { reason }
        }
    };
}
pub(crate) use common_errors;

#[derive(Serialize, Deserialize)]
struct ErrorBody<E> {
    #[serde(flatten)]
    error: E,
    #[serde(default)]
    message: String,
}

/// The answer that carries `error`.
pub fn error_response<E: WireError>(error: E) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = error.to_string();
    json_response(status, &ErrorBody { error, message })
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => (status, [(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => {
            crate::warn_self!(%error, "an answer could not be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The error in an answer's body, or `unavailable` when the body is none of ours.
pub fn decode_error<E: WireError>(status: u16, body: &[u8]) -> E {
    match serde_json::from_slice::<ErrorBody<E>>(body) {
        Ok(body) => body.error,
        Err(_) => E::unavailable(format!("answered with status {status} and no known error")),
    }
}

/// What a router needs to check requests.
pub struct RpcServer<S: ?Sized> {
    /// Who answers.
    pub service: Arc<S>,
    /// Who may ask.
    pub secret: ClusterSecret,
    /// The clock.
    pub env: Env,
}

impl<S: ?Sized> Clone for RpcServer<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), secret: self.secret.clone(), env: self.env.clone() }
    }
}

/// Answers what no route of `router` knows in the words of the protocol.
pub fn with_fallbacks(router: Router) -> Router {
    router.fallback(unknown_path).method_not_allowed_fallback(unknown_method)
}

async fn unknown_path(request: Request) -> Response {
    let path = request.uri().path();
    let version = path.split('/').nth(1).and_then(|first| first.strip_prefix('v')?.parse::<u32>().ok());
    let reason = match version {
        Some(version) if version != PROTOCOL_VERSION => {
            format!("this node speaks version {PROTOCOL_VERSION} of the protocol, not version {version}")
        }
        Some(_) | None => "this node has no such path".to_owned(),
    };
    refusal(StatusCode::NOT_FOUND, &reason)
}

async fn unknown_method(request: Request) -> Response {
    refusal(StatusCode::METHOD_NOT_ALLOWED, &format!("this path has no {}", request.method()))
}

/// A code that every service's errors have, so that each client understands it.
fn refusal(status: StatusCode, reason: &str) -> Response {
    let message = format!("malformed request: {reason}");
    json_response(status, &serde_json::json!({ "code": "Malformed", "reason": reason, "message": message }))
}

/// Reads, authenticates and decodes one request. Who does not even claim to know the secret has nothing read for it.
///
/// # Errors
/// The answer to send instead.
pub async fn receive<T: DeserializeOwned, E: WireError, S: ?Sized>(
    server: &RpcServer<S>,
    request: Request,
) -> Result<T, Response> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    server
        .secret
        .check_claim(authorization, server.env.now())
        .map_err(|error| error_response(E::unauthorized(error)))?;
    let body = axum::body::to_bytes(body, MESSAGE_LENGTH_MAX)
        .await
        .map_err(|error| error_response(E::malformed(format!("the body could not be read: {error}"))))?;
    server
        .secret
        .check_request(authorization, parts.method.as_str(), path, &body, server.env.now())
        .map_err(|error| error_response(E::unauthorized(error)))?;
    serde_json::from_slice(&body).map_err(|error| error_response(E::malformed(error.to_string())))
}

/// Encodes one answer.
pub fn reply<T: Serialize, E: WireError>(result: Result<T, E>) -> Response {
    match result {
        Ok(value) => json_response(StatusCode::OK, &value),
        Err(error) => error_response(error),
    }
}

/// The id of the request that `headers` carry.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    headers.get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Calls services of one peer.
#[derive(Clone, Debug)]
pub struct RpcClient {
    http: reqwest::Client,
    base: String,
    secret: ClusterSecret,
    env: Env,
    patience: Duration,
}

/// How long to wait before a peer that refused the connection is tried again.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// How long a peer may take to accept a connection. A living machine of the same site takes
/// milliseconds; a dead one must not hold up the answer to the client.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one call may take: longer than the longest transaction (completing 10,000 parts).
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

impl RpcClient {
    /// A client of the peer at `base`, such as `http://10.0.0.1:9010`.
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn new(base: &str, secret: ClusterSecret, env: Env) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .tcp_nodelay(true)
            // Internal addresses are reached directly, whatever proxy the environment names.
            .no_proxy()
            .build()?;
        let patience = Duration::ZERO;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), secret, env, patience })
    }

    /// Tries again for so long when no connection can be made: the peer may be restarting. It has seen
    /// nothing of the call then, so that any call can be repeated.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The peer's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// One call.
    ///
    /// # Errors
    /// What the service answered, or [`WireError::unavailable`].
    pub async fn call<T: Serialize + Sync, R: DeserializeOwned, E: WireError>(
        &self,
        path: &str,
        request: &T,
    ) -> Result<R, E> {
        let body = serde_json::to_vec(request).map_err(|error| E::malformed(error.to_string()))?;
        let deadline = self.env.monotonic() + self.patience;
        let answer = loop {
            match self.send(path, body.clone()).await {
                Err(error) if error.is_connect() && self.env.monotonic() < deadline => {
                    self.env.sleep(RECONNECT_DELAY).await;
                }
                outcome => break outcome,
            }
        };
        let unavailable = |error: reqwest::Error| E::unavailable(describe(&error));
        let answer = answer.map_err(unavailable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unavailable)?;
        if !status.is_success() {
            return Err(decode_error(status.as_u16(), &body));
        }
        serde_json::from_slice(&body).map_err(|error| E::unavailable(format!("answered nonsense: {error}")))
    }

    async fn send(&self, path: &str, body: Vec<u8>) -> Result<reqwest::Response, reqwest::Error> {
        let authorization = self.secret.authorize_request("POST", path, &body, self.env.now());
        let mut call = self
            .http
            .post(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(id) = current_request_id() {
            call = call.header(REQUEST_ID_HEADER, id);
        }
        call.send().await
    }
}

/// What an error of reqwest comes from, in a few words. The peer's address is left to whoever knows its name.
pub fn describe(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => "cannot connect: no answer in time".to_owned(),
        (true, false) => format!("cannot connect: {root}"),
        (false, true) => "no answer in time".to_owned(),
        (false, false) => format!("broke off: {root}"),
    }
}

/// Serves a body under the id of the request that it belongs to.
pub async fn with_request_id<T>(id: Option<String>, work: impl Future<Output = T>) -> T {
    match id {
        Some(id) => {
            use tracing::Instrument;
            let span = tracing::info_span!("request", %id);
            REQUEST_ID.scope(id, work).instrument(span).await
        }
        None => work.await,
    }
}

/// The state type that the macro's expansion names.
#[doc(hidden)]
pub type RouterState<S> = State<RpcServer<S>>;

/// Declares a service: its trait, its implementation for [`RpcClient`], and its router.
#[macro_export]
macro_rules! rpc_service {
    (
        $(#[$doc:meta])*
        $trait:ident, $router:ident, $name:literal, $error:ty {
            $( $(#[$op_doc:meta])* $op:ident($request:ty) -> $reply:ty; )+
        }
    ) => {
        $(#[$doc])*
        #[async_trait::async_trait]
        pub trait $trait: Send + Sync + 'static {
            $( $(#[$op_doc])* async fn $op(&self, request: $request) -> Result<$reply, $error>; )+
        }

        #[async_trait::async_trait]
        impl $trait for $crate::rpc::RpcClient {
            $( async fn $op(&self, request: $request) -> Result<$reply, $error> {
                self.call(concat!("/v1/", $name, "/", stringify!($op)), &request).await
            } )+
        }

        /// The HTTP router of the service.
        pub fn $router(server: $crate::rpc::RpcServer<dyn $trait>) -> axum::Router {
            axum::Router::new()
            $( .route(
                concat!("/v1/", $name, "/", stringify!($op)),
                axum::routing::post(|
                    axum::extract::State(server): $crate::rpc::RouterState<dyn $trait>,
                    request: axum::extract::Request,
                | async move {
                    let id = $crate::rpc::request_id(request.headers());
                    $crate::rpc::with_request_id(id, async move {
                        match $crate::rpc::receive::<$request, $error, dyn $trait>(&server, request).await {
                            Ok(request) => $crate::rpc::reply(server.service.$op(request).await),
                            Err(answer) => answer,
                        }
                    }).await
                }),
            ) )+
            .with_state(server)
        }
    };
}

#[cfg(test)]
mod tests {
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
    async fn a_peer_of_another_version_is_told_which_one_there_is() {
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

    /// Nobody listens there until somebody does.
    fn closed_port() -> (tokio::net::TcpSocket, String) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let base = format!("http://{}", socket.local_addr().unwrap());
        (socket, base)
    }

    fn client(base: &str, patience: Duration) -> RpcClient {
        let secret = ClusterSecret::new("a secret that is long enough for tests").unwrap();
        RpcClient::new(base, secret, Env::system()).unwrap().patient(patience)
    }

    #[tokio::test]
    async fn a_peer_that_restarts_is_waited_for_and_one_that_stays_away_is_not() {
        let (socket, base) = closed_port();
        let (impatient, patient) = (client(&base, Duration::ZERO), client(&base, Duration::from_secs(60)));
        let refused = impatient.call::<_, String, BlockError>("/v1/thing", &1).await;
        assert!(matches!(refused, Err(BlockError::Unreachable { .. })), "{refused:?}");

        let mut call = Box::pin(patient.call::<_, String, BlockError>("/v1/thing", &1));
        // Meanwhile the impatient one is refused as often as it asks.
        for _ in 0..5 {
            assert!(futures_util::poll!(&mut call).is_pending());
            impatient.call::<_, String, BlockError>("/v1/thing", &1).await.unwrap_err();
        }
        let router = Router::new().route("/v1/thing", axum::routing::post(|| async { "\"done\"" }));
        let listener = socket.listen(16).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        assert_eq!(call.await.unwrap(), "done");
    }
}

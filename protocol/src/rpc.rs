//! Remote calls: one list of operations declares a service's trait, its HTTP client and its HTTP router, so that calls in the
//! same process and over the network cannot differ.
//!
//! A call is `POST /v1/<service>/<operation>` with a JSON body, signed with the cluster's secret; the answer is signed too:
//! see [`signature`](crate::signature). The answer is JSON; an error is `{"code": …, "message": …}` with a status of 4xx
//! or 5xx.
//!
//! The first part of the path is the version of the protocol. The answer to a call of another version names the supported
//! one: see [`with_fallbacks`].

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use backon::{ConstantBuilder, Retryable};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::env::Env;
use crate::secret::{ClusterSecret, SecretError};
use crate::signature::{
    Admission, Admitted, BodyError, EPOCH_HEADER, Refusal, SIGNATURE_HEADER, SignedCall, Signer,
};
use crate::tls::{Identity, TlsError};

/// Upper limit for a request or an answer in bytes: the completion of an upload of 10,000 parts, or a page of a block report,
/// with a margin. It keeps a faulty peer from filling the memory. No body is read from a caller that does not know the
/// cluster's secret.
pub const MESSAGE_LENGTH_MAX: usize = 64 * 1024 * 1024;

/// The version of the protocol between the parts: the first part of every path but `/health` and `/events`.
pub const PROTOCOL_VERSION: u32 = 1;

/// Name of the header with the id of the client's request, which all log lines about the request have.
pub const REQUEST_ID_HEADER: &str = "x-cairn-request-id";

tokio::task_local! {
    /// The id of the client's request that this task serves.
    pub static REQUEST_ID: String;
}

/// The id of the client's request that this task serves, if there is one.
pub fn current_request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// Name of the parameter of a call's path that carries [`ACCESS_EPOCH`]. The signature of a call covers its path, so nobody
/// between the parts can remove or replace it.
const ACCESS_EPOCH_PARAMETER: &str = "access_epoch";

tokio::task_local! {
    /// The epoch of access control that the call of this task was authorised in.
    static ACCESS_EPOCH: u64;
}

/// The epoch of access control that the call of this task was authorised in, if it was.
pub fn current_access_epoch() -> Option<u64> {
    ACCESS_EPOCH.try_with(|epoch| *epoch).ok()
}

/// Runs `work`, whose calls are authorised in this epoch of access control.
pub async fn with_access_epoch<T>(epoch: Option<u64>, work: impl Future<Output = T>) -> T {
    match epoch {
        Some(epoch) => ACCESS_EPOCH.scope(epoch, work).await,
        None => work.await,
    }
}

/// The epoch of access control that a call carries.
pub fn access_epoch(uri: &axum::http::Uri) -> Option<u64> {
    let mut parameters = uri.query()?.split('&').filter_map(|parameter| parameter.split_once('='));
    parameters.find(|(name, _)| *name == ACCESS_EPOCH_PARAMETER).and_then(|(_, value)| value.parse().ok())
}

/// Name of the parameter that carries [`USER`]. It is signed like the epoch.
const USER_PARAMETER: &str = "user";

tokio::task_local! {
    /// The unique id of the user whose key sent the request that the call of this task is made for.
    static USER: String;
}

/// The unique id of the user whose key sent the request that the call of this task is made for; `None` for the root user, roles and
/// anonymous senders, and for what no client asked for.
pub fn current_user() -> Option<String> {
    USER.try_with(Clone::clone).ok()
}

/// Runs `work`, whose calls are made for a request of this user.
pub async fn with_user<T>(user: Option<String>, work: impl Future<Output = T>) -> T {
    match user {
        Some(user) => USER.scope(user, work).await,
        None => work.await,
    }
}

/// The user of the request that a call was made for.
pub fn user(uri: &axum::http::Uri) -> Option<String> {
    let mut parameters = uri.query()?.split('&').filter_map(|parameter| parameter.split_once('='));
    parameters.find(|(name, _)| *name == USER_PARAMETER).map(|(_, value)| value.to_owned())
}

/// The path of a call with the epoch of access control that it was authorised in, and the user whom it is made for. Unique ids of
/// users consist of letters and digits.
fn authorised_path(path: &str) -> String {
    let epoch = current_access_epoch().map(|epoch| format!("{ACCESS_EPOCH_PARAMETER}={epoch}"));
    let user = current_user().map(|user| format!("{USER_PARAMETER}={user}"));
    let parameters: Vec<_> = epoch.into_iter().chain(user).collect();
    match parameters.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", parameters.join("&")),
    }
}

/// An error that an answer can carry.
pub trait WireError: Serialize + DeserializeOwned + std::fmt::Display + Send + Sync + 'static {
    /// The HTTP status of the answer.
    fn status(&self) -> u16;
    /// The peer could not be reached, did not answer in time, or sent an invalid answer. It is unknown whether the call was
    /// executed.
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

/// The answer that carries `error`, unsigned: for block operations, and for callers that are not authenticated.
pub fn error_response<E: WireError>(error: E) -> Response {
    respond(error_body(error))
}

/// Status and body of an answer.
type Answer = (StatusCode, Vec<u8>);

fn error_body<E: WireError>(error: E) -> Answer {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = error.to_string();
    json(status, &ErrorBody { error, message })
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(json) => (status, json),
        Err(error) => {
            crate::warn_self!(%error, "an answer could not be encoded");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    }
}

fn respond((status, body): Answer) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The error in an answer's body, or `unavailable` when the body holds none.
pub fn decode_error<E: WireError>(status: u16, body: &[u8]) -> E {
    match serde_json::from_slice::<ErrorBody<E>>(body) {
        Ok(body) => body.error,
        Err(_) => E::unavailable(format!("answered with status {status} and no known error{}", quote(body))),
    }
}

/// The text of an answer of another protocol, if it is a short line. A proxy, or a port that speaks TLS, explains the error
/// in it.
fn quote(body: &[u8]) -> String {
    match std::str::from_utf8(body).map(str::trim) {
        Ok(line) if (1..=200).contains(&line.len()) && !line.contains(char::is_control) => {
            format!(": {line}")
        }
        Ok(_) | Err(_) => String::new(),
    }
}

/// The state of a router: the service and the check of its callers.
pub struct RpcServer<S: ?Sized> {
    /// The implementation.
    pub service: Arc<S>,
    /// Checks the callers. All services of a port share one.
    pub admission: Admission,
}

impl<S: ?Sized> Clone for RpcServer<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), admission: self.admission.clone() }
    }
}

/// Answers unknown paths and methods with errors of this protocol.
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

/// An error with a code that every service has, so that each client understands it.
fn refusal(status: StatusCode, reason: &str) -> Response {
    let message = format!("malformed request: {reason}");
    respond(json(status, &serde_json::json!({ "code": "Malformed", "reason": reason, "message": message })))
}

/// Checks the head of a call, reads its body and decodes it. The body is not read if the caller does not know the secret.
///
/// # Errors
/// The answer to send instead.
pub async fn receive<T: DeserializeOwned, E: WireError>(
    admission: &Admission,
    request: Request,
) -> Result<(T, Admitted), Response> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let admitted =
        match admission.admit(parts.method.as_str(), path, &parts.headers, MESSAGE_LENGTH_MAX as u64) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                if matches!(refusal, Refusal { error: SecretError::OtherEpoch, proven: Some(_) }) {
                    discard(body).await;
                }
                return Err(refuse::<E>(admission, refusal));
            }
        };
    let body = admission.read_body(&admitted, body).await.map_err(|error| {
        let error = match error {
            BodyError::NotAsSigned(error) => E::unauthorized(error),
            BodyError::Broken(_) => E::malformed(error.to_string()),
        };
        reply::<(), E>(admission, &admitted, Err(error))
    })?;
    match serde_json::from_slice(&body) {
        Ok(request) => Ok((request, admitted)),
        Err(error) => Err(reply::<(), E>(admission, &admitted, Err(E::malformed(error.to_string())))),
    }
}

/// Checks a signed request without a body, whose answer is an unsigned stream. Returns the answer to a request that is
/// refused.
pub fn refuse_bodiless<E: WireError>(admission: &Admission, request: &Request) -> Option<Response> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let admitted = admission.admit(request.method().as_str(), path, request.headers(), 0);
    admitted.err().map(|refusal| refuse::<E>(admission, refusal))
}

/// How long the rest of a refused body is read, so that the caller can receive the answer.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a body and drops it, because a caller may read the answer only after it has sent the whole body.
async fn discard(body: axum::body::Body) {
    let mut pieces = body.into_data_stream();
    let all = async { while let Some(Ok(_)) = pieces.next().await {} };
    // A slower caller sees a broken connection instead of the answer.
    #[expect(clippy::disallowed_methods, reason = "it only ends one IO operation")]
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, all).await;
}

/// The answer to a call whose head was refused. It is signed if the caller knows the secret.
pub fn refuse<E: WireError>(admission: &Admission, refusal: Refusal) -> Response {
    let error = E::unauthorized(refusal.error);
    match refusal.proven {
        Some(call) => reply::<(), E>(admission, &call, Err(error)),
        None => error_response(error),
    }
}

/// The signed answer to a call.
pub fn reply<T: Serialize, E: WireError>(
    admission: &Admission,
    call: &Admitted,
    result: Result<T, E>,
) -> Response {
    let (status, body) = match result {
        Ok(value) => json(StatusCode::OK, &value),
        Err(error) => error_body(error),
    };
    let (epoch, signature) = admission.sign_answer(call, status.as_u16(), &body);
    let mut response = respond((status, body));
    for (name, value) in [(EPOCH_HEADER, epoch), (SIGNATURE_HEADER, signature)] {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
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
    signer: Arc<Signer>,
    env: Env,
    patience: Duration,
}

/// Delay before the next attempt to connect to a peer that refused the connection.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// How long a peer may take to accept a connection. A running machine of the same site takes milliseconds. A dead one must
/// not delay the answer to the client.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one call may take: longer than the longest transaction, which completes 10,000 parts.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Upper limit for an unsigned answer in bytes. Only a refusal is unsigned.
const REFUSAL_LENGTH_MAX: usize = 64 * 1024;

impl RpcClient {
    /// A client of the peer at `base`, such as `https://10.0.0.1:9010`, with a certificate from the secret.
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn new(base: &str, secret: ClusterSecret, env: Env) -> Result<Self, ClientError> {
        let identity = Identity::of_secret(&secret, env.clone())?;
        Self::with_identity(base, secret, &identity, env)
    }

    /// A client that presents this identity over TLS.
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn with_identity(
        base: &str,
        secret: ClusterSecret,
        identity: &Identity,
        env: Env,
    ) -> Result<Self, ClientError> {
        let http = client_builder(identity)?.build()?;
        let signer = Arc::new(Signer::new(secret, env.clone()));
        let patience = Duration::ZERO;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), signer, env, patience })
    }

    /// Repeats failed attempts to connect for `patience`, because the peer may be restarting. The peer has received nothing of
    /// the call then, so any call can be repeated.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The peer's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Makes a call.
    ///
    /// # Errors
    /// The error that the service answered, or [`WireError::unavailable`].
    pub async fn call<T: Serialize + Sync, R: DeserializeOwned, E: WireError>(
        &self,
        path: &str,
        request: &T,
    ) -> Result<R, E> {
        let body = serde_json::to_vec(request).map_err(|error| E::malformed(error.to_string()))?;
        let body = Bytes::from(body);
        let path = &authorised_path(path);
        let mut answer = self.ask(path, &body).await?;
        if answer.is_for_another_epoch {
            // The call was refused before its execution, so it can be repeated.
            answer = self.ask(path, &body).await?;
        }
        if !answer.status.is_success() {
            return Err(decode_error(answer.status.as_u16(), &answer.body));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| E::unavailable(format!("answered nonsense: {error}")))
    }

    /// Sends a call until a connection can be made, and reads the answer.
    async fn ask<E: WireError>(&self, path: &str, body: &Bytes) -> Result<CheckedAnswer, E> {
        let deadline = self.env.monotonic() + self.patience;
        let attempt = || async {
            let call = self.signer.sign("POST", path, body);
            let answer = self.send(path, &call, body.clone()).await?;
            Ok((call, answer))
        };
        let unavailable = |error: reqwest::Error| E::unavailable(describe(&error));
        let (call, answer) = attempt
            .retry(ConstantBuilder::new().with_delay(RECONNECT_DELAY).without_max_times())
            .sleep(self.env.sleeper())
            .when(|error: &reqwest::Error| error.is_connect() && self.env.monotonic() < deadline)
            .await
            .map_err(unavailable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(unavailable)?;
        self.check(&call, status, &headers, body).ok_or_else(|| {
            E::unavailable(format!("answered with status {status}, and not as a part of this cluster"))
        })
    }

    async fn send(
        &self,
        path: &str,
        signed: &SignedCall,
        body: Bytes,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let mut call = self
            .http
            .post(format!("{}{path}", self.base))
            .timeout(CALL_TIMEOUT)
            .header(header::AUTHORIZATION, &signed.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        if let Some(id) = current_request_id() {
            call = call.header(REQUEST_ID_HEADER, id);
        }
        call.send().await
    }

    /// Accepts an answer that is authentic or a refusal, because a peer with another secret cannot sign its refusal.
    fn check(
        &self,
        call: &SignedCall,
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Option<CheckedAnswer> {
        let value = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (epoch, signature) = (value(EPOCH_HEADER), value(SIGNATURE_HEADER));
        if self.signer.is_authentic(call, status.as_u16(), epoch, signature, &body) {
            let is_for_another_epoch = self.signer.learn(call, epoch) && is_refusal(status, &body);
            return Some(CheckedAnswer { status, body, is_for_another_epoch });
        }
        is_refusal(status, &body).then_some(CheckedAnswer { status, body, is_for_another_epoch: false })
    }

    /// Makes a signed `GET` whose answer is an unsigned stream. `path` includes the query.
    ///
    /// # Errors
    /// When there is no answer. An answer with an error status is no error.
    pub async fn get_stream(&self, path: &str) -> Result<reqwest::Response, reqwest::Error> {
        let signed = self.signer.sign("GET", path, b"");
        let answer = self.send_get(path, &signed).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await?;
        let again = self.check(&signed, status, &headers, body.clone());
        if again.is_some_and(|answer| answer.is_for_another_epoch) {
            return self.send_get(path, &self.signer.sign("GET", path, b"")).await;
        }
        let mut answer = axum::http::Response::new(body);
        *answer.status_mut() = status;
        Ok(answer.into())
    }

    async fn send_get(&self, path: &str, signed: &SignedCall) -> Result<reqwest::Response, reqwest::Error> {
        let call = self.http.get(format!("{}{path}", self.base));
        call.header(header::AUTHORIZATION, &signed.authorization).send().await
    }
}

/// An answer that is authentic, or a refusal.
struct CheckedAnswer {
    status: StatusCode,
    body: Bytes,
    /// The call was signed for an earlier start of the peer and was refused. Signed again, it will be admitted.
    is_for_another_epoch: bool,
}

/// Whether an answer says that the call was not admitted, rather than that the operation failed.
fn is_refusal(status: StatusCode, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Code {
        code: String,
    }
    if status.is_success() || body.len() > REFUSAL_LENGTH_MAX {
        return false;
    }
    match serde_json::from_slice::<Code>(body) {
        Ok(Code { code }) => code == "Unauthorized" || code == "Malformed",
        // The answer is of another protocol. The caller gets its status and text.
        Err(_) => true,
    }
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be built.
    #[error("no HTTP client can be made: {0}")]
    Http(#[from] reqwest::Error),
}

/// The settings of all HTTP clients of internal ports: they present `identity` over TLS, and trust servers with an identity of
/// the same cluster.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client_builder(identity: &Identity) -> Result<reqwest::ClientBuilder, TlsError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(identity.client_config()?)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http1_only()
        // The parts of a cluster never redirect.
        .redirect(reqwest::redirect::Policy::none())
        // Internal addresses are reached directly, even if the environment names a proxy.
        .no_proxy();
    Ok(builder)
}

/// The cause of an error of reqwest, in a few words, without the peer's address: callers name the peer.
pub fn describe(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    if let Some(sentence) = crate::tls::explain(root) {
        return sentence;
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => "cannot connect: no answer in time".to_owned(),
        (true, false) => format!("cannot connect: {root}"),
        (false, true) => "no answer in time".to_owned(),
        (false, false) => format!("broke off: {root}"),
    }
}

/// Runs `work` with this request id in its log lines and calls.
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
                    let epoch = $crate::rpc::access_epoch(request.uri());
                    let user = $crate::rpc::user(request.uri());
                    let answer = $crate::rpc::with_access_epoch(epoch, $crate::rpc::with_user(user, async move {
                        match $crate::rpc::receive::<$request, $error>(&server.admission, request).await {
                            Ok((request, call)) => {
                                let result = server.service.$op(request).await;
                                $crate::rpc::reply(&server.admission, &call, result)
                            }
                            Err(answer) => answer,
                        }
                    }));
                    $crate::rpc::with_request_id(id, answer).await
                }),
            ) )+
            .with_state(server)
        }
    };
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "a service that the macro makes is public")]
mod tests;

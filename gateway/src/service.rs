//! The steps of every request, before and after its operation.
//!
//! Before: a request id, a check of the framing that is stricter than hyper's, authentication, the route, and the
//! operation's declaration. After: the headers of every response, and one line in the log.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_listener::{Peer, client};
use cairn_protocol::metadata::AccessKeyRef;
use cairn_protocol::rpc;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

use crate::auth::{
    Accepted, RequestView, Verified, anonymous_content, is_anonymous, is_signature_parameter, is_version_two,
    read_claim, security_token,
};
use crate::body::{BodyEnd, track};
use crate::caller::Caller;
use crate::client_limits::{ClientIdentity, InFlight, keep_until_sent};
use crate::data::Owner;
use crate::early;
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::gateway::Gateway;
use crate::headers::single;
use crate::identity::{Facts, KeyHolder};
use crate::ops::Route;
use crate::query_service;
use crate::request::{Head, Request, RequestBody, is_checksum_of_body};
use crate::response::ErrorScope;
use crate::response::{self, Response};
use crate::route::{self, parse_target, virtual_bucket};
use crate::uri::Query;

/// The path of the health page. No bucket can have this name.
pub(crate) const HEALTH_PATH: &str = "/_cairn/health";

/// The S3 API as a tower service.
#[derive(Clone, Debug)]
pub(crate) struct S3Service {
    gateway: Arc<Gateway>,
    host_id: Arc<str>,
}

impl S3Service {
    /// A service over this gateway.
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        let host_id = STANDARD.encode(gateway.env.random_bytes::<32>());
        Self { gateway, host_id: host_id.into() }
    }

    async fn answer(self, request: http::Request<Body>) -> Response {
        // A request for this path with a signature may be for an object whose bucket is in the host name.
        let is_signed =
            request.headers().contains_key(header::AUTHORIZATION) || request.uri().query().is_some();
        if request.uri().path() == HEALTH_PATH && !is_signed {
            return health(request.method(), self.gateway.keyring.is_ready());
        }
        let id = hex::encode_upper(self.gateway.env.random_bytes::<8>());
        let work = self.clone().answer_api(request, id.clone());
        let mut response = rpc::with_request_id(Some(id.clone()), work).await;
        response::set(&mut response, HeaderName::from_static("x-amz-request-id"), id);
        response::set(&mut response, HeaderName::from_static("x-amz-id-2"), &*self.host_id);
        response.headers_mut().insert(header::SERVER, HeaderValue::from_static("Cairn"));
        response::set(&mut response, header::DATE, response::http_date(self.gateway.env.now()));
        response
    }

    async fn answer_api(self, request: http::Request<Body>, id: String) -> Response {
        let (mut parts, body) = request.into_parts();
        // The host may name a bucket, for which the path `/` is not that of the service.
        let api = match virtual_bucket(&parts.headers, &self.gateway.config.domains) {
            None => query_service::addressed(&parts),
            Some(_) => None,
        };
        let Some(api) = api else {
            return self.answer_s3(http::Request::from_parts(parts, body), id).await;
        };
        let framing = check_framing(&mut parts);
        let facts = self.facts(&parts);
        query_service::answer(self.gateway, api, (parts, body), framing, facts, &id).await
    }

    async fn answer_s3(self, request: http::Request<Body>, id: String) -> Response {
        let started = self.gateway.env.monotonic();
        let (parts, body) = request.into_parts();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let is_http1 = parts.version < Version::HTTP_2;
        let (body, end) = track(body);
        let mut operation = "-";
        let mut in_flight = Vec::with_capacity(2);
        let result = match self.admit_within_limits(parts, &mut in_flight).await {
            Ok((admitted, owner)) => {
                operation = admitted.route.declaration.name;
                let (gateway, body) = (self.gateway.clone(), RequestBody::new(body));
                let work = owner.run((admitted.route.handler)(gateway, admitted.request, body)).boxed();
                self.answer_in_time(operation, work, &end, Asked { method: &method, path: &path, id: &id })
                    .await
            }
            Err(error) => Err(error),
        };
        let mut code = "-";
        let mut response = match result {
            Ok(response) => response,
            Err(error) => {
                code = error.code().as_str();
                log_error(&error);
                let scope =
                    ErrorScope { method: &method, resource: &path, request_id: &id, host_id: &self.host_id };
                error.into_response(&scope)
            }
        };
        if !is_http1 {
            // In HTTP/2 the connection header is not allowed; there, closing would end all requests of the client.
            response.headers_mut().remove(header::CONNECTION);
        } else if !end.was_reached() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let elapsed_ms = (self.gateway.env.monotonic() - started).as_millis();
        let status = response.status().as_u16();
        tracing::info!(%method, path, operation, status, code, elapsed_ms, "request");
        keep_until_sent(response, in_flight)
    }

    /// Admits a request unless the client has too many in flight. `in_flight` gets the count of this one.
    async fn admit_within_limits(
        &self,
        parts: Parts,
        in_flight: &mut Vec<InFlight>,
    ) -> S3Result<(Admitted, Owner)> {
        let (counts, config) = (&self.gateway.requests_in_flight, &self.gateway.config);
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.address.ip());
        let address = client(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        in_flight.push(counts.enter(ClientIdentity::Address(address), config.requests_per_address_max)?);
        let admitted = self.admit(parts).await?;
        // Anonymous requests have no key. Their addresses limit them, and nobody else's requests do.
        let key = admitted.request.caller.access_key();
        if let Some(key) = key {
            in_flight.push(counts.enter(ClientIdentity::Key(key.to_owned()), config.requests_per_key_max)?);
        }
        let owner = Owner::of(address, key.unwrap_or_default());
        Ok((admitted, owner))
    }

    /// The operation's response. For an operation that may take long, the response may begin before the operation ends.
    async fn answer_in_time(
        &self,
        operation: &'static str,
        mut work: early::Work,
        request_end: &BodyEnd,
        asked: Asked<'_>,
    ) -> S3Result<Response> {
        if !early::is_expected_of(operation) {
            return work.await;
        }
        let env = self.gateway.env.clone();
        if let Some(result) = early::wait(&env, &mut work, request_end).await {
            return result;
        }
        let (method, path, id) = (asked.method.clone(), asked.path.to_owned(), asked.id.to_owned());
        let host_id = self.host_id.clone();
        let work = rpc::with_request_id(Some(id.clone()), work).boxed();
        Ok(early::answer(env, work, move |error| {
            log_error(error);
            let code = error.code().as_str();
            tracing::info!(%method, path, operation, code, %id, "a request failed after its answer had begun");
            let scope = ErrorScope { method: &method, resource: &path, request_id: &id, host_id: &host_id };
            error.to_xml(&scope)
        }))
    }

    /// All checks before an operation sees the request.
    async fn admit(&self, mut parts: Parts) -> S3Result<Admitted> {
        check_framing(&mut parts)?;
        let raw_path = parts.uri.path().to_owned();
        let mut query = Query::parse(parts.uri.query().unwrap_or_default())?;
        if parts.method == Method::OPTIONS {
            // A preflight request is not signed. This is S3's response for a bucket without a CORS configuration.
            return Err(S3Error::with_message(
                ErrorCode::AccessForbidden,
                "CORSResponse: CORS is not enabled for this bucket.",
            ));
        }
        // A signature of version 2 covers headers in the query as headers, one of version 4 as parameters. So they are moved
        // before or after the check.
        let mut from_query = Vec::new();
        if self.gateway.config.sigv2 && is_version_two(&query) {
            from_query.extend(unhoist_headers(&mut query, &mut parts.headers)?);
        }
        let caller = self.authenticate(&parts, &raw_path, &query).await?;
        if caller.verified().is_some_and(Verified::is_presigned) {
            from_query.extend(unhoist_headers(&mut query, &mut parts.headers)?);
        }
        let target = parse_target(&parts.headers, &raw_path, &self.gateway.config.domains)?;
        let route = route::find(&parts.method, target.resource(), &query, &parts.headers)?;
        route.declaration.admit(&mut parts.headers, &mut query)?;
        let declaration = route.declaration;
        let headers = parts.headers;
        let request = Head { declaration, caller, target, query, headers, from_query }.into();
        Ok(Admitted { route, request })
    }

    fn facts(&self, parts: &Parts) -> Facts {
        let peer = parts.extensions.get::<Peer>();
        // A header that is no text, or is there twice, is as good as none: AWS does not refuse it either.
        let text = |name: HeaderName| single(&parts.headers, name.as_str()).ok().flatten().map(str::to_owned);
        Facts {
            address: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip()).to_canonical(),
            tls: peer.and_then(|peer| peer.tls),
            user_agent: text(header::USER_AGENT),
            referer: text(header::REFERER),
            region: self.gateway.config.region.clone(),
            time: self.gateway.env.now(),
        }
    }

    async fn authenticate(&self, parts: &Parts, raw_path: &str, query: &Query) -> S3Result<Caller> {
        let (config, keyring) = (&self.gateway.config, &self.gateway.keyring);
        if !keyring.is_ready() {
            let message = format!("{NOT_READY} Please try again.");
            return Err(S3Error::with_message(ErrorCode::ServiceUnavailable, message));
        }
        let (method, headers) = (&parts.method, &parts.headers);
        let virtual_bucket = virtual_bucket(headers, &config.domains);
        let virtual_bucket = virtual_bucket.as_deref();
        let view = RequestView { method, raw_path, query, headers, virtual_bucket };
        if is_anonymous(&view) {
            return Ok(Caller::anonymous(anonymous_content(headers)?, self.facts(parts)));
        }
        let (verified, holder, key) = self.verify(&view).await?;
        Ok(Caller::new(verified, holder, key, self.facts(parts)))
    }

    async fn verify(&self, view: &RequestView<'_>) -> S3Result<(Verified, Arc<KeyHolder>, AccessKeyRef)> {
        let (config, keyring) = (&self.gateway.config, &self.gateway.keyring);
        let claim = read_claim(view, Accepted { region: &config.region, version_two: config.sigv2 })?;
        let token = security_token(view)?.map(str::to_owned);
        let key = AccessKeyRef { access_key: claim.access_key().to_owned(), token };
        let holder = keyring.secret(&key).await?.ok_or_else(|| match key.token {
            Some(_) => S3Error::new(ErrorCode::InvalidToken),
            None => S3Error::new(ErrorCode::InvalidAccessKeyId).detail("AWSAccessKeyId", &key.access_key),
        })?;
        match claim.verify(view, holder.secret(), self.gateway.env.now()) {
            // The secret may have changed since it was looked up.
            Err(error) if error.code() == ErrorCode::SignatureDoesNotMatch => {
                match keyring.newer(&key, holder.secret()).await? {
                    Some(newer) => {
                        let verified = claim.verify(view, newer.secret(), self.gateway.env.now())?;
                        Ok((verified, newer, key))
                    }
                    None => Err(error),
                }
            }
            verified => Ok((verified?, holder, key)),
        }
    }
}

/// The facts about a request that logs and error documents contain.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    id: &'a str,
}

struct Admitted {
    route: &'static Route,
    request: Request,
}

impl tower::Service<http::Request<Body>> for S3Service {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

/// The message while the gateway does not serve requests yet. The log has the reason.
const NOT_READY: &str = "The metadata service has not told this gateway yet who may ask.";

/// The health page. It needs no authentication and reveals nothing else.
fn health(method: &Method, is_ready: bool) -> Response {
    match *method {
        Method::GET | Method::HEAD if is_ready => Response::new(Body::from("ok\n")),
        Method::GET | Method::HEAD => {
            let mut response = Response::new(Body::from(format!("{NOT_READY}\n")));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
        _ => response::empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Refuses framing that two readers could understand differently (request smuggling), and requires exactly one `Host`.
/// HTTP/2 has it as `:authority`.
fn check_framing(parts: &mut Parts) -> S3Result<()> {
    let headers = &mut parts.headers;
    if headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH) {
        return Err(
            S3Error::invalid_request("Content-Length and Transfer-Encoding cannot both be given.").closing()
        );
    }
    if headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        return Err(S3Error::invalid_request("Content-Length is there more than once.").closing());
    }
    if parts.version == Version::HTTP_2 && !headers.contains_key(header::HOST) {
        let authority =
            parts.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        if let Some(authority) = authority {
            headers.insert(header::HOST, authority);
        }
    }
    match headers.get_all(header::HOST).iter().count() {
        1 => single(headers, header::HOST.as_str()).map(drop).map_err(S3Error::closing),
        0 => Err(S3Error::invalid_request("The Host header is missing.").closing()),
        _ => Err(S3Error::invalid_request("The Host header is there more than once.").closing()),
    }
}

/// SDKs put the headers of a presigned request into its query, where the signature covers them. S3 reads them as
/// headers. Returns the names of those that were not sent as headers too.
fn unhoist_headers(query: &mut Query, headers: &mut HeaderMap) -> S3Result<Vec<HeaderName>> {
    let mut from_query = Vec::new();
    let is_header = |name: &str| {
        let is_amz = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
        (is_amz && !is_signature_parameter(name)) || matches!(name, "content-md5" | "content-type")
    };
    for (name, value) in query.take(is_header) {
        let wrong = |message| S3Error::invalid_argument(name.as_str(), value.as_str(), message);
        let header =
            HeaderName::try_from(name.as_str()).map_err(|_| wrong("The name cannot be that of a header."))?;
        let text = HeaderValue::from_str(&value).map_err(|_| wrong("The value cannot stand in a header."))?;
        match headers.get(&header) {
            None => {
                headers.insert(&header, text);
                from_query.push(header);
            }
            // The signer of a presigned URL did not have the body, so its digest is not known. A digest that the client
            // sends as a header is signed.
            Some(_) if is_checksum_of_body(&header) => {}
            Some(sent) if sent.as_bytes() == value.as_bytes() => {}
            Some(_) => {
                return Err(S3Error::with_message(
                    ErrorCode::SignatureDoesNotMatch,
                    format!("The header {name} is not the one that was signed."),
                ));
            }
        }
    }
    Ok(from_query)
}

fn log_error(error: &S3Error) {
    let (code, cause) = (error.code().as_str(), error.cause());
    if error.code().status().is_server_error() && error.code() != ErrorCode::NotImplemented {
        match error.code() {
            ErrorCode::InternalError => cairn_protocol::warn_self!(code, cause, message = error.message()),
            _ => cairn_protocol::warn_peer!(code, cause, message = error.message()),
        }
    } else {
        tracing::debug!(code, cause, message = error.message());
    }
}

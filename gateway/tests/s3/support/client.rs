//! A client that sends exactly the bytes of a test. It does not normalise URLs.

use std::net::SocketAddr;

use bytes::Bytes;
use cairn_protocol::env::Env;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Body, Reply, presign, sign};

/// Sends requests to one gateway.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) region: String,
    pub(crate) env: Env,
}

/// A request before it is signed.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Body,
    presigned: Option<u64>,
    signed: bool,
    /// Headers that the signature leaves out.
    unsigned: Vec<&'static str>,
}

impl Call {
    /// A signed request. `target` is path and query, which are sent unchanged.
    pub(crate) fn new(method: Method, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: HeaderMap::new(),
            body: Body::Signed(Vec::new()),
            presigned: None,
            signed: true,
            unsigned: Vec::new(),
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new(Method::GET, target)
    }

    pub(crate) fn head(target: &str) -> Self {
        Self::new(Method::HEAD, target)
    }

    pub(crate) fn put(target: &str) -> Self {
        Self::new(Method::PUT, target)
    }

    pub(crate) fn post(target: &str) -> Self {
        Self::new(Method::POST, target)
    }

    pub(crate) fn delete(target: &str) -> Self {
        Self::new(Method::DELETE, target)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.headers.append(name.parse::<HeaderName>().unwrap(), value);
        self
    }

    /// Adds a header whose bytes are not UTF-8.
    pub(crate) fn latin1(mut self, name: &'static str, value: &'static [u8]) -> Self {
        self.headers.append(name, HeaderValue::from_bytes(value).unwrap());
        self
    }

    pub(crate) fn body(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(Body::Signed(bytes.into()))
    }

    pub(crate) fn with(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Puts the signature into the query. It is valid for this many seconds.
    pub(crate) fn presigned(mut self, expires_s: u64) -> Self {
        self.presigned = Some(expires_s);
        self
    }

    /// Leaves this header out of the signature. It is sent nevertheless.
    pub(crate) fn unsigned(mut self, name: &'static str) -> Self {
        self.unsigned.push(name);
        self
    }

    /// Leaves out the signature.
    pub(crate) fn anonymous(mut self) -> Self {
        self.signed = false;
        self
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr, region: String, env: Env) -> Self {
        Self { address, region, env }
    }

    /// Signs the request. Changes to the result make the signature invalid.
    pub(crate) fn prepare(&self, call: Call) -> Request<Full<Bytes>> {
        let Call { method, path, mut query, mut headers, body, presigned, signed, unsigned } = call;
        headers.entry("host").or_insert(self.address.to_string().parse().unwrap());
        let bytes = match (presigned, body) {
            (Some(expires_s), Body::Signed(data)) => {
                query = presign(self, &method, &path, &query, expires_s);
                data
            }
            (_, Body::Signed(data)) if !signed => data,
            (_, body) => sign(self, &method, &path, &query, &mut headers, &unsigned, body),
        };
        if method == Method::PUT || method == Method::POST {
            headers.entry("content-length").or_insert(bytes.len().into());
        }
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let mut request = Request::new(Full::new(Bytes::from(bytes)));
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().unwrap();
        *request.headers_mut() = headers;
        request
    }

    /// Sends a request on a new connection, and collects the response.
    pub(crate) async fn send(&self, call: Call) -> Reply {
        self.send_prepared(self.prepare(call)).await
    }

    /// Sends a request, and returns when the head of the response has arrived.
    pub(crate) async fn begin(&self, call: Call) -> Response<Incoming> {
        self.connect_and_send(self.prepare(call)).await
    }

    async fn connect_and_send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    pub(crate) async fn send_prepared(&self, request: Request<Full<Bytes>>) -> Reply {
        let what = format!("{} {}", request.method(), request.uri());
        let response = self.connect_and_send(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { what, status: parts.status, headers: parts.headers, body }
    }
}

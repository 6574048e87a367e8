//! The requests of S3 that workloads make. Each verifies its answer.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cairn_gateway::auth::sha256_hex;
use cairn_gateway::uri::encode;
use cairn_protocol::env::Env;
use http::header::{CONTENT_LENGTH, ETAG, HOST, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use md5::{Digest, Md5};

use crate::contents::{Contents, Upload};
use crate::document;
use crate::failure::Failure;
use crate::objects::Object;
use crate::sign::{Credentials, Signer, UNSIGNED};

/// The longest document that is read, in bytes: a page of 1,000 keys of 1,024 bytes, escaped.
const DOCUMENT_MAX: usize = 8 << 20;

/// A server to measure.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in the report.
    pub name: String,
    /// Its base URL.
    pub endpoint: Uri,
    /// Who asks.
    pub credentials: Credentials,
    /// The region of its signatures.
    pub region: String,
    /// The bucket. It is made if it is not there.
    pub bucket: String,
    /// Its processes on this machine, whose CPU time and memory are measured.
    pub pids: Vec<u32>,
}

type Payload = Either<Upload, Full<Bytes>>;

/// A client of one server. All workers share it, and each has a connection of its own.
pub(crate) struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Payload>,
    target: Target,
    signer: Signer,
    env: Env,
    contents: Contents,
    sign_bodies: bool,
}

/// What was read of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Got {
    /// From the request to the first byte of the body.
    pub(crate) first_byte: Duration,
    /// Bytes of the body.
    pub(crate) bytes: u64,
}

/// What the answer of a request is needed for.
struct Call<'a> {
    method: Method,
    key: Option<&'a str>,
    query: &'a [(&'a str, &'a str)],
    headers: HeaderMap,
    body: Payload,
    /// The hash that is signed.
    sha256: String,
}

impl<'a> Call<'a> {
    /// A request without a body.
    fn new(method: Method, key: Option<&'a str>, query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            method,
            key,
            query,
            headers: HeaderMap::new(),
            body: Either::Right(Full::default()),
            sha256: sha256_hex(b""),
        }
    }

    fn document(mut self, text: String) -> Self {
        self.sha256 = sha256_hex(text.as_bytes());
        self.body = Either::Right(Full::new(text.into()));
        self
    }

    fn header(mut self, name: http::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl Client {
    pub(crate) fn new(
        target: Target,
        tls: rustls::ClientConfig,
        env: Env,
        contents: Contents,
        sign_bodies: bool,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
        let signer = Signer::new(target.credentials.clone(), target.region.clone());
        Self { http, target, signer, env, contents, sign_bodies }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends a request. An answer that is no success is a failure.
    async fn send(&self, call: Call<'_>) -> Result<Response<Incoming>, Failure> {
        let Call { method, key, query, mut headers, body, sha256 } = call;
        let mut path = format!("/{}", encode(self.target.bucket.as_bytes(), false));
        if let Some(key) = key {
            path.push('/');
            path.push_str(&encode(key.as_bytes(), true));
        }
        let pairs = query.iter().map(|(name, value)| {
            format!("{}={}", encode(name.as_bytes(), false), encode(value.as_bytes(), false))
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        let authority = self.target.endpoint.authority().map(ToString::to_string).unwrap_or_default();
        let unusable = |what: &str| Failure::Transport(format!("{what} is not usable in a request"));
        headers.insert(HOST, HeaderValue::from_str(&authority).map_err(|_| unusable("the endpoint"))?);
        self.signer
            .sign((&method, &path, &query), &mut headers, &sha256, self.env.now())
            .ok_or_else(|| unusable("the access key"))?;
        let scheme = self.target.endpoint.scheme_str().unwrap_or("http");
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = format!("{scheme}://{authority}{path}{mark}{query}")
            .parse()
            .map_err(|_| unusable("the bucket"))?;
        *request.headers_mut() = headers;
        let answer = self.http.request(request).await.map_err(transport)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let text = read_document(answer).await.unwrap_or_default();
        Err(refusal(status, &text))
    }

    /// Writes an object. Returns the id of its version, if there is one.
    pub(crate) async fn put(&self, number: u64, key: &str, size: u64) -> Result<Option<String>, Failure> {
        let answer = self.send(self.upload(Call::new(Method::PUT, Some(key), &[]), number, 0..size)).await?;
        let version = version(&answer);
        read_document(answer).await?;
        Ok(version)
    }

    /// Gives a request bytes of an object as its body.
    fn upload<'a>(&self, mut call: Call<'a>, number: u64, range: Range<u64>) -> Call<'a> {
        call.sha256 = if self.sign_bodies { self.sha256(number, range.clone()) } else { UNSIGNED.to_owned() };
        call.headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
        call.body = Either::Left(self.contents.body(number, range));
        call
    }

    fn sha256(&self, number: u64, range: Range<u64>) -> String {
        let mut hash = sha2::Sha256::new();
        for piece in self.contents.pieces(number, range) {
            hash.update(&piece);
        }
        hash.finalize().iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Reads an object, or a range of it, and compares every byte.
    pub(crate) async fn get(
        &self,
        object: &Object,
        range: Option<Range<u64>>,
        by_version: bool,
    ) -> Result<Got, Failure> {
        let query = object.version.as_deref().filter(|_| by_version).map(|id| [("versionId", id)]);
        let mut call = Call::new(Method::GET, Some(&object.key), query.as_ref().map_or(&[], |pair| pair));
        if let Some(range) = &range {
            call = call.header(RANGE, &format!("bytes={}-{}", range.start, range.end - 1));
        }
        let expected = range.clone().unwrap_or(0..object.size);
        let began = self.env.monotonic();
        let answer = self.send(call).await?;
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let wrong = |what: String| Failure::Wrong { key: object.key.clone(), what };
        if answer.status() != status {
            return Err(wrong(format!("the status is {} and not {status}", answer.status())));
        }
        let (mut body, mut at, mut first_byte) = (answer.into_body(), expected.start, None);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| Failure::Transport(chain(&error)))?.into_data() else {
                continue;
            };
            first_byte.get_or_insert_with(|| self.env.monotonic().saturating_sub(began));
            self.contents
                .verify(object.number, at, &data)
                .map_err(|wrong| Failure::Damaged { key: object.key.clone(), wrong })?;
            at += data.len() as u64;
        }
        if at != expected.end {
            return Err(wrong(format!(
                "{} bytes came, and not {}",
                at - expected.start,
                expected.end - expected.start
            )));
        }
        let first_byte = first_byte.unwrap_or_else(|| self.env.monotonic().saturating_sub(began));
        Ok(Got { first_byte, bytes: at - expected.start })
    }

    /// Asks for the properties of an object.
    pub(crate) async fn stat(&self, object: &Object) -> Result<(), Failure> {
        let answer = self.send(Call::new(Method::HEAD, Some(&object.key), &[])).await?;
        let length = answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if length == Some(&object.size.to_string()) {
            return Ok(());
        }
        let what = format!("its length is {}, and not {}", length.unwrap_or("not said"), object.size);
        Err(Failure::Wrong { key: object.key.clone(), what })
    }

    /// Lists a page of keys after `after`. Returns the keys.
    pub(crate) async fn list(&self, prefix: &str, after: &str) -> Result<Vec<String>, Failure> {
        let query = [("list-type", "2"), ("prefix", prefix), ("start-after", after)];
        let answer = self.send(Call::new(Method::GET, None, &query)).await?;
        Ok(document::texts(&read_document(answer).await?, "Contents", "Key"))
    }

    /// Lists a page of versions after `after`. Returns keys and ids, of delete markers too.
    pub(crate) async fn list_versions(
        &self,
        prefix: &str,
        after: &str,
    ) -> Result<Vec<(String, String)>, Failure> {
        let query = [("versions", ""), ("prefix", prefix), ("key-marker", after)];
        let answer = self.send(Call::new(Method::GET, None, &query)).await?;
        let text = read_document(answer).await?;
        let of = |element: &str| {
            let keys = document::texts(&text, element, "Key");
            keys.into_iter().zip(document::texts(&text, element, "VersionId"))
        };
        Ok(of("Version").chain(of("DeleteMarker")).collect())
    }

    /// Deletes objects by their keys, and by the ids of their versions if they are known: one by DeleteObject, several by DeleteObjects.
    pub(crate) async fn delete(&self, objects: &[(String, Option<String>)]) -> Result<(), Failure> {
        if let [(key, version)] = objects {
            let query = version.as_deref().map(|id| [("versionId", id)]);
            let query = query.as_ref().map_or(&[][..], |pair| pair);
            let answer = self.send(Call::new(Method::DELETE, Some(key), query)).await?;
            read_document(answer).await?;
            return Ok(());
        }
        let text = document::delete(objects);
        let digest = STANDARD.encode(Md5::digest(text.as_bytes()));
        let call = Call::new(Method::POST, None, &[("delete", "")]);
        let call = call.header(http::HeaderName::from_static("content-md5"), &digest).document(text);
        let answer = read_document(self.send(call).await?).await?;
        match document::first_error(&answer) {
            Some((code, message)) => Err(Failure::Answer { status: StatusCode::OK, code, message }),
            None => Ok(()),
        }
    }

    /// Uploads an object in parts of this length, one after another. Returns the id of its version, if there is one.
    pub(crate) async fn multipart(
        &self,
        number: u64,
        key: &str,
        (size, part): (u64, u64),
    ) -> Result<Option<String>, Failure> {
        let begun = self.send(Call::new(Method::POST, Some(key), &[("uploads", "")])).await?;
        let text = read_document(begun).await?;
        let wrong = |what: &str| Failure::Wrong { key: key.to_owned(), what: what.to_owned() };
        let upload = document::text(&text, "UploadId").ok_or_else(|| wrong("the upload has no id"))?;
        let mut parts = Vec::new();
        let (mut at, part) = (0, part.max(1));
        while at < size || parts.is_empty() {
            let end = (at + part).min(size);
            let name = (parts.len() + 1).to_string();
            let query = [("partNumber", &*name), ("uploadId", &*upload)];
            let call = Call::new(Method::PUT, Some(key), &query);
            let answer = self.send(self.upload(call, number, at..end)).await?;
            let etag = answer.headers().get(ETAG).and_then(|etag| etag.to_str().ok().map(str::to_owned));
            parts.push(etag.ok_or_else(|| wrong("a part has no ETag"))?);
            read_document(answer).await?;
            at = end;
        }
        let query = [("uploadId", &*upload)];
        let call = Call::new(Method::POST, Some(key), &query).document(document::complete(&parts));
        let answer = self.send(call).await?;
        let version = version(&answer);
        // A completion that fails late is an error in an answer of status 200 (S3 API Reference, "CompleteMultipartUpload").
        match document::first_error(&read_document(answer).await?) {
            Some((code, message)) => Err(Failure::Answer { status: StatusCode::OK, code, message }),
            None => Ok(version),
        }
    }

    /// Makes the bucket. Returns whether it was not there before.
    pub(crate) async fn create_bucket(&self) -> Result<bool, Failure> {
        match self.send(Call::new(Method::HEAD, None, &[])).await {
            Ok(_) => return Ok(false),
            Err(failure) if failure.is_missing() => {}
            Err(failure) => return Err(failure),
        }
        let mut call = Call::new(Method::PUT, None, &[]);
        if self.target.region != "us-east-1" {
            call = call.document(document::create_bucket(&self.target.region));
        }
        read_document(self.send(call).await?).await?;
        Ok(true)
    }

    /// Deletes the bucket.
    pub(crate) async fn delete_bucket(&self) -> Result<(), Failure> {
        read_document(self.send(Call::new(Method::DELETE, None, &[])).await?).await.map(drop)
    }

    /// Has the bucket keep versions.
    pub(crate) async fn enable_versioning(&self) -> Result<(), Failure> {
        let text = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                    <Status>Enabled</Status></VersioningConfiguration>";
        let digest = STANDARD.encode(Md5::digest(text));
        let call = Call::new(Method::PUT, None, &[("versioning", "")]);
        let call =
            call.header(http::HeaderName::from_static("content-md5"), &digest).document(text.to_owned());
        read_document(self.send(call).await?).await.map(drop)
    }

    /// Lists a page of uploads in progress under a prefix: keys and ids.
    pub(crate) async fn list_uploads(&self, prefix: &str) -> Result<Vec<(String, String)>, Failure> {
        let query = [("uploads", ""), ("prefix", prefix)];
        let text = read_document(self.send(Call::new(Method::GET, None, &query)).await?).await?;
        let keys = document::texts(&text, "Upload", "Key");
        Ok(keys.into_iter().zip(document::texts(&text, "Upload", "UploadId")).collect())
    }

    /// Aborts an upload.
    pub(crate) async fn abort_upload(&self, key: &str, upload: &str) -> Result<(), Failure> {
        let query = [("uploadId", upload)];
        read_document(self.send(Call::new(Method::DELETE, Some(key), &query)).await?).await.map(drop)
    }
}

fn version(answer: &Response<Incoming>) -> Option<String> {
    let id = answer.headers().get("x-amz-version-id")?.to_str().ok()?;
    (id != "null").then(|| id.to_owned())
}

async fn read_document(answer: Response<Incoming>) -> Result<String, Failure> {
    let body = Limited::new(answer.into_body(), DOCUMENT_MAX).collect().await;
    let bytes = body.map_err(|error| Failure::Transport(chain(&*error)))?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn refusal(status: StatusCode, text: &str) -> Failure {
    let (code, message) = document::first_error(text).unwrap_or_default();
    Failure::Answer { status, code, message }
}

fn transport(error: hyper_util::client::legacy::Error) -> Failure {
    Failure::Transport(chain(&error))
}

/// An error and its causes, in a line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

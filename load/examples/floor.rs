//! The floor under an S3 server: a bare hyper server that keeps objects in memory, and does with a body only what it is told to.
//!
//! ```text
//! floor [discard] [hash] [sync DIR]
//! ```
//!
//! `discard` has it forget bodies that it received, `hash` has it compute MD5 and CRC-64/NVME of each body that it receives, `sync` has it write each body to a file of its own in DIR and wait for
//! `fdatasync` before it answers. It prints its URL. It answers just enough of S3 for `cairn bench put`, `get`, `range-get` and `stat`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use tokio::net::TcpListener;

type Answer = Response<Full<Bytes>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The server.
struct Floor {
    objects: Mutex<HashMap<String, Bytes>>,
    discards: bool,
    hashes: bool,
    directory: Option<PathBuf>,
    files: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let sync = arguments.iter().position(|argument| argument == "sync");
    let directory = sync.and_then(|at| arguments.get(at + 1)).map(PathBuf::from);
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let floor = Floor {
        objects: Mutex::default(),
        discards: has("discard"),
        hashes: has("hash"),
        directory,
        files: AtomicU64::new(0),
    };
    let floor = Arc::new(floor);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let floor = floor.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let floor = floor.clone();
                async move { Ok::<_, Infallible>(floor.answer(request).await) }
            });
            // A client that goes away is no matter.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Floor {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let is_object = path.trim_start_matches('/').contains('/');
        match *request.method() {
            Method::PUT if is_object => self.put(path, request).await.unwrap_or_else(|_| failed()),
            Method::GET | Method::HEAD if is_object => self.get(&path, &request),
            Method::DELETE => {
                self.objects().remove(&path);
                with(StatusCode::NO_CONTENT, Bytes::new())
            }
            // The bucket is there, and looks empty.
            _ => with(StatusCode::OK, Bytes::from_static(b"<ListBucketResult/>")),
        }
    }

    fn objects(&self) -> std::sync::MutexGuard<'_, HashMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn put(&self, path: String, request: Request<Incoming>) -> Result<Answer, Failure> {
        let mut body = request.into_body();
        let (mut whole, mut md5) = (BytesMut::new(), Md5::new());
        let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        let mut file = self.directory.as_deref().map(|directory| self.file(directory)).transpose()?;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if self.hashes {
                md5.update(&data);
                crc.update(&data);
            }
            if let Some(file) = &mut file {
                tokio::task::block_in_place(|| file.write_all(&data))?;
            }
            if !self.discards {
                whole.extend_from_slice(&data);
            }
        }
        if let Some(file) = file {
            tokio::task::spawn_blocking(move || file.sync_data()).await??;
        }
        let mut answer = with(StatusCode::OK, Bytes::new());
        if self.hashes {
            let text: String = md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            let etag = format!("\"{text}-{:x}\"", crc.finalize());
            answer.headers_mut().insert(header::ETAG, HeaderValue::from_str(&etag)?);
        }
        if !self.discards {
            self.objects().insert(path, whole.freeze());
        }
        Ok(answer)
    }

    /// A new file.
    fn file(&self, directory: &Path) -> std::io::Result<std::fs::File> {
        std::fs::File::create(directory.join(self.files.fetch_add(1, Ordering::Relaxed).to_string()))
    }

    fn get(&self, path: &str, request: &Request<Incoming>) -> Answer {
        let Some(whole) = self.objects().get(path).cloned() else {
            return with(StatusCode::NOT_FOUND, Bytes::new());
        };
        match request.headers().get(header::RANGE).and_then(|range| parse(range, whole.len())) {
            Some(range) => with(StatusCode::PARTIAL_CONTENT, whole.slice(range)),
            None => with(StatusCode::OK, whole),
        }
    }
}

/// `bytes=A-B`.
fn parse(range: &HeaderValue, length: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < length).then_some(first..last + 1)
}

fn with(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer
}

fn failed() -> Answer {
    with(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new())
}

//! The routes of a datanode: blocks, `/health` and `/events`. Blocks need a block token, events a signed request.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cairn_listener::RequestBodyError;
use cairn_protocol::block::{
    BlockError, BlockInfo, BlockRead, BlockService, BlockStream, DeleteBlock, GetBlock, HeadBlock, PutBlock,
    header,
};
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::rpc::{
    WireError, error_response, refuse_bodiless, request_id, with_fallbacks, with_request_id,
};
use cairn_protocol::secret::{BlockOperation, ClusterSecret};
use cairn_protocol::signature::Admission;
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::volume::volumes::Volumes;

/// What the routes need of the datanode.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) node: NodeId,
    pub(crate) blocks: Arc<dyn BlockService>,
    pub(crate) volumes: Arc<Volumes>,
    pub(crate) events: EventBus,
    pub(crate) secret: ClusterSecret,
    pub(crate) admission: Admission,
    pub(crate) env: Env,
    /// Whether the first block report is complete.
    pub(crate) reported: watch::Receiver<bool>,
    /// Ends streams of events, which would otherwise hold up the shutdown of the listener.
    pub(crate) shutdown: CancellationToken,
}

/// The routes of a datanode.
pub(crate) fn router(served: Served) -> Router {
    let block = get(get_block).head(head_block).put(put_block).delete(delete_block);
    let router = Router::new()
        .route("/v1/blocks/{id}", block)
        .route("/health", get(health))
        .route("/events", get(events))
        .with_state(served);
    with_fallbacks(router)
}

async fn put_block(State(served): State<Served>, Path(id): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    with_request_id(request_id(&parts.headers), async move {
        let request = match served.admit(BlockOperation::Put, &id, &parts.headers, parse_put) {
            Ok(request) => request,
            Err(error) => return error_response(error),
        };
        let data = SharedBody::new(body.into_data_stream().map_err(|error| body_error(&error)).boxed());
        match served.blocks.put(request, data.clone().boxed()).await {
            Ok(reply) => axum::Json(reply).into_response(),
            // A sender that stalled, or that has no valid token, is not waited for.
            Err(error @ (BlockError::TimedOut | BlockError::Unauthorized { .. })) => error_response(error),
            Err(error) => {
                data.read_to_end().await;
                error_response(error)
            }
        }
    })
    .await
}

/// How long the rest of a refused block is read, so that its sender sees the answer.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(5);

/// A body whose rest can still be read after the service has dropped it. Over HTTP/1 a sender that is refused in the middle of a body
/// sees a broken connection instead of the answer, unless the server reads what was sent.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<BlockStream>>);

impl SharedBody {
    fn new(body: BlockStream) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    async fn read_to_end(mut self) {
        let all = async { while let Some(Ok(_)) = self.next().await {} };
        // A slower sender sees the broken connection instead of the answer.
        #[expect(clippy::disallowed_methods, reason = "it only ends one IO operation")]
        let _ = tokio::time::timeout(REFUSED_TIMEOUT, all).await;
    }
}

impl Stream for SharedBody {
    type Item = Result<Bytes, BlockError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
    }
}

impl Served {
    /// Checks the token of a request before anything else, so that a caller without one learns nothing.
    fn admit<T>(
        &self,
        operation: BlockOperation,
        id: &str,
        headers: &HeaderMap,
        parse: impl FnOnce(BlockId, String, &HeaderMap) -> Result<T, BlockError>,
    ) -> Result<T, BlockError> {
        let token = token(headers)?;
        let block = id.parse().map_err(|_| BlockError::Unauthorized { reason: "no block id".to_owned() })?;
        self.secret
            .check_block_token(&token, operation, block, self.node, self.env.now())
            .map_err(BlockError::unauthorized)?;
        parse(block, token, headers)
    }
}

fn parse_put(block: BlockId, token: String, headers: &HeaderMap) -> Result<PutBlock, BlockError> {
    let length = text(headers, &CONTENT_LENGTH)?;
    let length = length.parse().map_err(|_| malformed("Content-Length is no number"))?;
    let crc = text(headers, &HeaderName::from_static(header::CRC32C))?;
    let crc32c = u32::from_str_radix(crc, 16).map_err(|_| malformed("the CRC32C is no number"))?;
    let pipeline = match headers.get(header::PIPELINE) {
        Some(pipeline) => serde_json::from_slice(pipeline.as_bytes())
            .map_err(|_| malformed("the pipeline is not a list of targets"))?,
        None => Vec::new(),
    };
    Ok(PutBlock { block, length, crc32c, token, pipeline })
}

async fn get_block(State(served): State<Served>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    with_request_id(request_id(&headers), async move {
        let request = match served.admit(BlockOperation::Get, &id, &headers, parse_get) {
            Ok(request) => request,
            Err(error) => return error_response(error),
        };
        if headers.contains_key(header::BYTES) {
            return match served.blocks.get_bytes(request).await {
                Ok(bytes) => ([(HeaderName::from_static(header::BYTES), "1")], bytes).into_response(),
                Err(error) => error_response(error),
            };
        }
        let is_range = request.range.is_some();
        let range_end = request.range.map(|(_, end)| end);
        match served.blocks.get(request).await {
            Ok(read) => send(read, is_range, range_end),
            Err(error) => error_response(error),
        }
    })
    .await
}

fn parse_get(block: BlockId, token: String, headers: &HeaderMap) -> Result<GetBlock, BlockError> {
    let range = match headers.get(RANGE) {
        Some(range) => Some(parse_range(range.as_bytes()).ok_or_else(|| malformed("bad Range"))?),
        None => None,
    };
    Ok(GetBlock { block, range, token })
}

/// Parses `bytes=first-last`. Cairn's parts always send both numbers, so no other form is accepted.
fn parse_range(range: &[u8]) -> Option<(u64, u64)> {
    let (first, last) = std::str::from_utf8(range).ok()?.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then(|| Some((first, last.checked_add(1)?)))?
}

/// The body of a GET: the chunk table, then the chunks.
fn send(read: BlockRead, is_range: bool, range_end: Option<u64>) -> Response {
    let BlockRead { info, table, data_offset, data, owned_chunks: _ } = read;
    let end = range_end.unwrap_or(info.length).min(info.length);
    let (_, data_end) = cairn_protocol::block::chunk_aligned(data_offset, end, info.length);
    let table = table.encode();
    let length = table.len() as u64 + (data_end - data_offset);
    let body: BlockStream = futures_util::stream::once(async move { Ok(table) }).chain(data).boxed();
    let mut response = (
        if is_range { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK },
        block_headers(info),
        [
            (HeaderName::from_static(header::DATA_OFFSET), data_offset.to_string()),
            (CONTENT_LENGTH, length.to_string()),
            (CONTENT_TYPE, "application/octet-stream".to_owned()),
        ],
        Body::from_stream(body),
    )
        .into_response();
    if is_range && let Ok(range) = format!("bytes {data_offset}-{}/{}", data_end - 1, info.length).parse() {
        response.headers_mut().insert(CONTENT_RANGE, range);
    }
    response
}

async fn head_block(State(served): State<Served>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    with_request_id(request_id(&headers), async move {
        let request = served
            .admit(BlockOperation::Get, &id, &headers, |block, token, _| Ok(HeadBlock { block, token }));
        let found = match request {
            Ok(request) => served.blocks.head(request).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(info) => (StatusCode::OK, block_headers(info)).into_response(),
            Err(error) => with_error_header(error),
        }
    })
    .await
}

/// The error of a HEAD. It is sent in a header, because the answer has no body.
fn with_error_header(error: BlockError) -> Response {
    let value = serde_json::to_string(&error).ok().and_then(|json| HeaderValue::try_from(json).ok());
    let mut response = error_response(error);
    if let Some(value) = value {
        response.headers_mut().insert(HeaderName::from_static(header::ERROR), value);
    }
    response
}

async fn delete_block(State(served): State<Served>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    with_request_id(request_id(&headers), async move {
        let request = served
            .admit(BlockOperation::Delete, &id, &headers, |block, token, _| Ok(DeleteBlock { block, token }));
        let deleted = match request {
            Ok(request) => served.blocks.delete(request).await,
            Err(error) => Err(error),
        };
        match deleted {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(error) => error_response(error),
        }
    })
    .await
}

/// For health checks: answers 200 while at least one volume works. It needs no authentication, so it says nothing else.
async fn health(State(served): State<Served>) -> Response {
    if served.volumes.all_failed() {
        (StatusCode::SERVICE_UNAVAILABLE, "all volumes have failed\n").into_response()
    } else if !*served.reported.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "not registered with the metanode yet\n").into_response()
    } else {
        (StatusCode::OK, "ok\n").into_response()
    }
}

#[derive(Deserialize)]
struct EventsQuery {
    /// Only events after this one.
    #[serde(default)]
    after: u64,
}

/// Past and future events, one JSON object per line. Signed like a call with an empty body.
async fn events(State(served): State<Served>, request: Request) -> Response {
    if let Some(refused) = refuse_bodiless::<BlockError>(&served.admission, &request) {
        return refused;
    }
    let query = match Query::<EventsQuery>::try_from_uri(request.uri()) {
        Ok(Query(query)) => query,
        Err(error) => return error_response(malformed(&error.to_string())),
    };
    let lines = served.events.subscribe_after(query.after).map(|event| {
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(Bytes::from(line))
    });
    let lines = lines.take_until(served.shutdown.cancelled_owned());
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn block_headers(info: BlockInfo) -> HeaderMap {
    let volume = info.volume.map(|volume| (header::VOLUME, volume.to_string()));
    let incarnation = info.incarnation.map(|incarnation| (header::INCARNATION, incarnation.to_string()));
    let always =
        [(header::BLOCK_LENGTH, info.length.to_string()), (header::CRC32C, format!("{:08x}", info.crc32c))];
    let all = always.into_iter().chain(volume).chain(incarnation);
    all.filter_map(|(name, value)| Some((HeaderName::from_static(name), value.parse().ok()?))).collect()
}

fn token(headers: &HeaderMap) -> Result<String, BlockError> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
    token
        .map(str::to_owned)
        .ok_or_else(|| BlockError::Unauthorized { reason: "a token is needed".to_owned() })
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, BlockError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| malformed(&format!("{name} is missing")))
}

fn malformed(reason: &str) -> BlockError {
    BlockError::Malformed { reason: reason.to_owned() }
}

fn body_error(error: &axum::Error) -> BlockError {
    match RequestBodyError::find(error) {
        Some(RequestBodyError::Stalled | RequestBodyError::TooSlow) => BlockError::TimedOut,
        Some(RequestBodyError::Broken(_)) | None => {
            BlockError::Unreachable { reason: "the sender broke off".to_owned() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_both_its_ends() {
        assert_eq!(parse_range(b"bytes=0-0"), Some((0, 1)));
        assert_eq!(parse_range(b"bytes=65536-131071"), Some((65536, 131_072)));
        for bad in
            [&b"bytes=5-4"[..], b"bytes=5-", b"bytes=-5", b"items=0-1", b"bytes=0-18446744073709551615"]
        {
            assert_eq!(parse_range(bad), None);
        }
    }
}

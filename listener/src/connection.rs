//! The life of one connection: TLS, detection of the protocol, hyper, and an orderly end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;
use tower::util::BoxCloneService;

use super::activity::{Activity, Expiry};
use super::body::{RequestBody, ResponseBody};
use super::io::{LINGER_TIMEOUT, Watched};
use super::pace::Pace;
use super::stall::Stall;
use super::{Limits, Peer, Shared, tls};

/// Bytes that hyper buffers for one HTTP/1 connection in each direction: as many as a fast link carries between two runs of the
/// task, and few enough for thousands of connections.
const BUFFER_MAX: usize = 128 * 1024;

/// HTTP/2 flow-control window of a stream and of a connection in bytes: how much a client may send before the server has read
/// it. 1 MiB fills 1 Gbit/s at 8 ms. It is also the memory that a connection can pin.
const WINDOW: u32 = 1024 * 1024;

/// The interval of pings to an HTTP/2 client, and the time-out for their answers.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Bytes of one answer that an HTTP/2 stream buffers, and sends while the next piece is fetched.
const STREAM_BUFFER_MAX: usize = 64 * 1024;

/// How long a client may take to close a connection after the server has begun to close it, also if others wait for its place.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const CROWDED_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection's stream, of any type. So hyper is compiled once, and not for each kind of stream and service.
pub(super) type BoxedStream = Box<dyn Stream>;

/// A service of any type.
pub(super) type BoxedService = BoxCloneService<Request<Body>, Response<Body>, Infallible>;

/// Both directions of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Serves one connection to its end.
pub(super) async fn run(
    stream: BoxedStream,
    address: SocketAddr,
    activity: Arc<Activity>,
    service: BoxedService,
    shared: Arc<Shared>,
) {
    let killed = shared.kill.clone();
    let work = async {
        let Some(tls) = &shared.tls else {
            let peer = Peer { address, tls: None };
            return detect(stream, peer, activity, service, &shared).await;
        };
        let handshake = tls::accept(stream, tls.clone());
        tokio::select! {
            outcome = handshake => match outcome {
                Ok(stream) => {
                    let peer = Peer { address, tls: Some(tls::version(&stream)) };
                    activity.begin_head();
                    detect(Box::new(stream), peer, activity, service, &shared).await;
                }
                Err(error) => tls::report(address, &error, &shared.failed_handshakes),
            },
            _ = activity.expired(&shared.limits) => {}
            () = shared.env.sleep(shared.limits.handshake_timeout) => {
                tracing::debug!(%address, "TLS handshake timed out");
            }
            () = shared.shutdown.cancelled() => {}
        }
    };
    tokio::select! {
        () = work => {}
        () = killed.cancelled() => cairn_protocol::warn_peer!(%address, "cut off: its request did not finish in the time to drain"),
    }
}

/// Finds out what the client speaks, and serves it.
async fn detect(
    stream: BoxedStream,
    peer: Peer,
    activity: Arc<Activity>,
    service: BoxedService,
    shared: &Arc<Shared>,
) {
    let stall = |timeout, pace| Stall::new(shared.env.clone(), timeout, pace);
    let unread = stall(shared.limits.write_stall_timeout, pace(&shared.limits));
    let linger = stall(LINGER_TIMEOUT, Pace::new(0, LINGER_TIMEOUT));
    let mut stream = Watched::new(stream, activity.clone(), unread, linger);
    let is_http2 = tokio::select! {
        is_http2 = stream.begins_as_http2() => is_http2,
        _ = activity.expired(&shared.limits) => return,
        () = shared.shutdown.cancelled() => return,
    };
    let Ok(is_http2) = is_http2 else { return };
    // A client that speaks HTTP/2 to a port without it gets an error in HTTP/1.
    let is_http2 = is_http2 && shared.limits.http2;
    let service = {
        let (activity, shared) = (activity.clone(), shared.clone());
        hyper::service::service_fn(move |request| {
            answer(service.clone(), request, peer, activity.clone(), shared.clone())
        })
    };
    if is_http2 {
        activity.is_http2();
        stream.is_http2();
        drive(http2(shared).serve_connection(TokioIo::new(stream), service), &activity, peer, shared).await;
    } else {
        drive(http1(shared).serve_connection(TokioIo::new(stream), service), &activity, peer, shared).await;
    }
}

async fn answer(
    service: BoxedService,
    request: Request<Incoming>,
    peer: Peer,
    activity: Arc<Activity>,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Infallible> {
    let in_flight = activity.begin(pace(&shared.limits));
    let stall = Stall::new(shared.env.clone(), shared.limits.body_idle_timeout, pace(&shared.limits));
    let mut request = request.map(|body| Body::new(RequestBody::new(body, stall, activity)));
    request.extensions_mut().insert(peer);
    let response = service.oneshot(request).await?;
    Ok(response.map(|body| Body::new(ResponseBody::new(body, in_flight))))
}

fn pace(limits: &Limits) -> Pace {
    Pace::new(limits.rate_min, limits.rate_window)
}

fn http1(shared: &Shared) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The listener has its own time-out, because hyper's does not distinguish a slow request from an idle connection.
        .header_read_timeout(None)
        .max_buf_size(BUFFER_MAX)
        .max_header_size(shared.limits.header_bytes_max)
        .max_headers(shared.limits.header_count_max);
    builder
}

fn http2(shared: &Shared) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(shared.limits.streams_max)
        .max_header_list_size(u32::try_from(shared.limits.header_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(STREAM_BUFFER_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}

/// Drives a connection until it ends by itself or has to end.
async fn drive<C>(connection: C, activity: &Activity, peer: Peer, shared: &Shared)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let mut draining = false;
    loop {
        tokio::select! {
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(address = %peer.address, %error, "a connection ended badly");
                }
                return;
            }
            () = shared.shutdown.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            expiry = activity.expired(&shared.limits) => {
                tracing::debug!(address = %peer.address, ?expiry, "a connection is closed");
                // The client gets a notice if its protocol has one.
                let patience = match expiry {
                    Expiry::Idle => CLOSE_TIMEOUT,
                    Expiry::Crowded => CROWDED_CLOSE_TIMEOUT,
                    Expiry::Head | Expiry::Silent | Expiry::Unread | Expiry::TooSlow => return,
                };
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = connection => {}
                    () = shared.env.sleep(patience) => {}
                }
                return;
            }
        }
    }
}

//! The accept loop of all of Cairn's servers. It exists because the usual ones have no time-outs, and without time-outs a few
//! slow clients can stop a server.
//!
//! It serves HTTP/1.1 (keep-alive, pipelining) and HTTP/2 (by ALPN, or by prior knowledge without TLS) on one port, over any
//! stream that an [`Accept`] yields. [`Limits`] has every limit with its reason.
//!
//! | module | what is there |
//! |---|---|
//! | `accept` | the source of streams, and the behaviour when the machine has no more file descriptors |
//! | `connection` | the life of one connection: detection of the protocol, service, end |
//! | `crowd` | all connections: their limits, of one client and in total, and which one is closed for a new one |
//! | `waiters` | new connections that wait for a place in a full listener |
//! | `activity` | the state of one connection, from which its time-outs follow |
//! | `framing` | refuses messages that two parsers could understand differently, before hyper sees them |
//! | `body` | bodies of requests and answers, with time-outs for clients that stall |
//! | `io` | the stream under hyper: it reports reads and writes to `activity` |
//! | `pace`, `stall` | a body that moves too slowly, and one that does not move |
//! | `complaint` | log messages about clients whose connections were closed |
//! | [`tls`] | certificates and ALPN |

mod accept;
mod activity;
mod body;
mod complaint;
mod connection;
mod crowd;
mod framing;
mod io;
mod pace;
mod stall;
pub mod tls;
mod waiters;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use accept::Accept;
pub use body::RequestBodyError;
pub use crowd::client;
pub use tls::TlsVersion;

use complaint::Complaints;
use crowd::Crowd;

use cairn_protocol::env::Env;
use cairn_protocol::log::Seldom;

/// The limits for a listener's clients. The defaults suit the ports between the parts, [`public`](Self::public) suits a port
/// that anyone can reach.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Upper limit of connections. When more arrive, connections without a request are closed to make room, then idle ones, the
    /// oldest first. If all are being served, new ones wait in the kernel's queue. Each costs a file descriptor and up to some
    /// 100 KiB of buffers.
    pub connections_max: usize,
    /// Upper limit of connections of one client, which is an IPv4 address or the /64 network of an IPv6 address. Beyond it, one of
    /// the client's connections without a request is closed, or the new one. It keeps a single client from taking all places.
    /// It must be larger if all clients come through one proxy.
    pub connections_per_address_max: usize,
    /// How long a TLS handshake may take: a few round trips, also on a slow machine.
    pub handshake_timeout: Duration,
    /// How long a request may take from its first byte (or from the start of the connection) to the end of its headers. It ends
    /// clients that send headers one byte at a time.
    pub header_timeout: Duration,
    /// How long a connection without a request is kept. It is longer than the pools of the AWS SDKs keep connections, so that the
    /// client closes first and no request is lost.
    pub idle_timeout: Duration,
    /// How long the body of a request may make no progress while the server waits for it.
    pub body_idle_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub write_stall_timeout: Duration,
    /// The least rate of a body in bytes a second, in either direction, while the server waits for the client; 0 is no limit. It
    /// ends clients that hold a place and memory with a trickle of bytes.
    pub rate_min: u64,
    /// The time of waiting for the client over which the rate is measured.
    pub rate_window: Duration,
    /// How long requests in flight may take to finish when the server stops.
    pub drain_timeout: Duration,
    /// Size of a request's line and headers in bytes (of its header list in HTTP/2). S3 allows 8 KiB
    /// of headers; presigned URLs and session tokens come on top.
    pub header_bytes_max: usize,
    /// Headers of an HTTP/1 request. 2 KiB of user metadata can be a few hundred short headers.
    pub header_count_max: usize,
    /// Upper limit of concurrent requests on one HTTP/2 connection. Each needs up to a send buffer of memory.
    pub streams_max: u32,
    /// Whether the listener accepts HTTP/2, whose connections can pin a window of 1 MiB before a request is authenticated.
    pub http2: bool,
}

impl Limits {
    /// Limits for ports that only parts of the cluster use. Their clients speak HTTP/1.1, and their longest head names a pipeline
    /// of 16 nodes. So a connection of an unauthenticated client can pin little more than 16 KiB.
    pub fn internal() -> Self {
        Self { header_bytes_max: 16 * 1024, header_count_max: 64, http2: false, ..Self::default() }
    }
}

impl Limits {
    /// Limits for a server that anyone may call: no client gets more than half of the connections.
    pub fn public() -> Self {
        let limits = Self::default();
        Self { connections_per_address_max: limits.connections_max / 2, ..limits }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            connections_per_address_max: usize::MAX,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(75),
            body_idle_timeout: Duration::from_secs(30),
            write_stall_timeout: Duration::from_secs(60),
            rate_min: 1024,
            rate_window: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            header_bytes_max: 64 * 1024,
            header_count_max: 512,
            streams_max: 128,
            http2: true,
        }
    }
}

/// The client of a request. Every request has it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// The version of TLS; `None` if the connection is not encrypted.
    pub tls: Option<TlsVersion>,
}

/// The end of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Number of connections that were closed during a request because the drain time-out was over.
    pub cut: usize,
}

/// The state that all connections of a listener share.
struct Shared {
    env: Env,
    limits: Limits,
    tls: Option<Arc<ServerConfig>>,
    crowd: Arc<Crowd>,
    /// Cancelled to stop accepting and to finish requests.
    shutdown: CancellationToken,
    /// Cancelled when the time to finish is over.
    kill: CancellationToken,
    /// Limits the warnings about failed handshakes.
    failed_handshakes: Seldom,
}

/// Minimum time between two warnings about failed handshakes. Others are logged at level `debug`.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Serves `service` on each stream that `accept` yields until `shutdown`, then finishes the requests in flight.
/// Returns when the last connection is closed. An [`axum::Router`] is such a service.
///
/// Bodies of requests fail with a [`RequestBodyError`] when the client stalls or disconnects.
pub async fn serve<A, S>(
    mut accept: A,
    service: S,
    limits: Limits,
    tls: Option<Arc<ServerConfig>>,
    env: Env,
    shutdown: CancellationToken,
) -> Drained
where
    A: Accept,
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let kill = CancellationToken::new();
    let failed_handshakes = Seldom::new(env.clone(), WARNING_INTERVAL);
    let complaints = Arc::new(Complaints::new(env.clone()));
    let address_max = limits.connections_per_address_max;
    let crowd = Crowd::new(env.clone(), limits.connections_max, address_max, complaints);
    let shared = Arc::new(Shared { env, limits, tls, crowd, shutdown, kill, failed_handshakes });
    let connections = TaskTracker::new();
    let service = connection::BoxedService::new(service);
    loop {
        let next = async {
            let (stream, address) = accept::accept(&mut accept, &shared).await;
            (stream, address, shared.crowd.enter(address).await)
        };
        let (stream, address, entered) = tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => break,
            next = next => next,
        };
        let Some((place, activity)) = entered else { continue };
        let connection =
            connection::run(Box::new(stream), address, activity, service.clone(), shared.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    // The port is free from here on.
    drop(accept);
    drain(&connections, &shared).await
}

async fn drain(connections: &TaskTracker, shared: &Shared) -> Drained {
    connections.close();
    let cut = tokio::select! {
        biased;
        () = connections.wait() => 0,
        () = shared.env.sleep(shared.limits.drain_timeout) => connections.len(),
    };
    shared.kill.cancel();
    connections.wait().await;
    Drained { cut }
}

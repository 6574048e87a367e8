//! The routes of a metanode: its services, `/health` and `/events`.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cairn_protocol::cluster::ClusterError;
use cairn_protocol::event::EventBus;
use cairn_protocol::rpc::{WireError, error_response, refuse_bodiless};
use cairn_protocol::signature::Admission;
use futures_util::StreamExt;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// The state of the routes that are not RPC services.
#[derive(Clone)]
pub(crate) struct Beside {
    pub(crate) store: Store,
    pub(crate) events: EventBus,
    pub(crate) admission: Admission,
    /// Ends the streams of events, which would otherwise delay the listener's drain.
    pub(crate) shutdown: CancellationToken,
}

/// The routes that are not RPC services.
pub(crate) fn router(beside: Beside) -> Router {
    Router::new().route("/health", get(health)).route("/events", get(events)).with_state(beside)
}

/// Returns 200 if the database can be read, for health checks. It is unauthenticated, so it says nothing else.
async fn health(State(beside): State<Beside>) -> Response {
    match beside.store.check().await {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be read\n").into_response(),
    }
}

#[derive(Deserialize)]
struct EventsQuery {
    /// Only events after the one of this number.
    #[serde(default)]
    after: u64,
    /// Whether the stream goes on with future events.
    #[serde(default = "yes")]
    follow: bool,
}

fn yes() -> bool {
    true
}

/// Streams events, past and (with `follow`) future ones, one JSON object per line. The request is signed like a call
/// with an empty body.
async fn events(State(beside): State<Beside>, request: Request) -> Response {
    if let Some(refused) = refuse_bodiless::<ClusterError>(&beside.admission, &request) {
        return refused;
    }
    let query = match Query::<EventsQuery>::try_from_uri(request.uri()) {
        Ok(Query(query)) => query,
        Err(error) => return error_response(ClusterError::malformed(error.to_string())),
    };
    let events = if query.follow {
        beside.events.subscribe_after(query.after).boxed()
    } else {
        futures_util::stream::iter(beside.events.past_after(query.after)).boxed()
    };
    let lines = events.map(|event| {
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(Bytes::from(line))
    });
    let lines = lines.take_until(beside.shutdown.cancelled_owned());
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

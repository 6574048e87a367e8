//! The promise: for any body to any operation of any service, the call is served or gets a typed error, and no more of the
//! body is read than was signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt;
use proptest::prelude::*;
use serde_json::Value;
use tower::ServiceExt;

use crate::admin::{Admin, admin_router};
use crate::cluster::{Cluster, cluster_router};
use crate::env::{Env, Timestamp};
use crate::metadata::{Metadata, metadata_router};
use crate::rpc::{EPOCH_HEADER, RpcClient, RpcServer};
use crate::secret::ClusterSecret;
use crate::signature::{Admission, Signer};

/// All services on one port. Each is a client whose peer has no valid address: a valid call is answered with `Unavailable`,
/// and nothing is sent over a network.
struct Port {
    router: Router,
    signer: Signer,
    runtime: tokio::runtime::Runtime,
}

impl Port {
    fn new() -> Self {
        let env = Env::manual(1, Timestamp(1_700_000_000_000)).0;
        let secret = ClusterSecret::new("a secret that is long enough for tests").unwrap();
        let client = Arc::new(RpcClient::new("no address", secret.clone(), env.clone()).unwrap());
        let admission = Admission::new(secret.clone(), env.clone());
        let (metadata, cluster, admin): (Arc<dyn Metadata>, Arc<dyn Cluster>, Arc<dyn Admin>) =
            (client.clone(), client.clone(), client);
        let router = metadata_router(RpcServer { service: metadata, admission: admission.clone() })
            .merge(cluster_router(RpcServer { service: cluster, admission: admission.clone() }))
            .merge(admin_router(RpcServer { service: admin, admission }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let port = Self { router, signer: Signer::new(secret, env), runtime };
        // The first call is refused, and its answer has the epoch that calls must be signed for.
        port.call("/v1/metadata/get_bucket", b"", |body| Body::from(Bytes::copy_from_slice(body)));
        port
    }

    /// Signs a call with the body `signed`, and sends the result of `body` instead.
    fn call(&self, path: &str, signed: &[u8], body: impl Fn(&[u8]) -> Body) -> (StatusCode, Bytes) {
        let call = self.signer.sign("POST", path, signed);
        let request = Request::post(path).header(header::AUTHORIZATION, &call.authorization);
        let request = request.body(body(signed)).unwrap();
        self.runtime.block_on(async {
            let answer = self.router.clone().oneshot(request).await.unwrap();
            let epoch = answer.headers()[EPOCH_HEADER].to_str().unwrap().to_owned();
            self.signer.learn(&call, &epoch);
            (answer.status(), to_bytes(answer.into_body(), 1 << 20).await.unwrap())
        })
    }
}

/// The path of each operation, from the services' declarations.
fn paths() -> Vec<String> {
    let services = [
        ("metadata", include_str!("../../metadata/mod.rs")),
        ("cluster", include_str!("../../cluster/mod.rs")),
        ("admin", include_str!("../../admin/mod.rs")),
    ];
    let mut paths = Vec::new();
    for (service, source) in services {
        let before = paths.len();
        for line in source.lines().filter(|line| line.starts_with("        ") && line.contains(") -> ")) {
            let operation = line.trim().split('(').next().unwrap_or_default();
            paths.push(format!("/v1/{service}/{operation}"));
        }
        assert!(paths.len() > before, "no operation of {service} was found");
    }
    paths
}

/// Names of fields of requests, so that some values are nearly valid requests.
fn name() -> impl Strategy<Value = String> {
    let names = vec![
        "bucket",
        "key",
        "node",
        "block",
        "blocks",
        "count",
        "version",
        "upload",
        "parts",
        "length",
        "limit",
        "prefix",
        "grant",
        "grants",
        "replicas",
        "incarnation",
        "page",
        "owner",
        "worker",
        "settings",
    ];
    prop_oneof![
        8 => prop::sample::select(names).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<u128>().prop_map(|id| Value::from(uuid::Uuid::from_u128(id).to_string())),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..12)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// JSON, JSON with some of its bytes replaced, or any bytes.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let json = || any_json().prop_map(|value| serde_json::to_vec(&value).unwrap());
    let mutated = (json(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4));
    let mutated = mutated.prop_map(|(mut bytes, changes)| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![json(), mutated, prop::collection::vec(any::<u8>(), 0..200)]
}

#[test]
fn any_body_to_any_operation_is_answered_with_a_typed_error_or_handed_to_the_service() {
    let (port, paths) = (Port::new(), paths());
    proptest!(|(path in prop::sample::select(paths), body in any_body())| {
        let (status, answer) = port.call(&path, &body, |body| Body::from(Bytes::copy_from_slice(body)));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let code = answer["code"].as_str().unwrap();
        prop_assert!(answer["message"].is_string(), "{}", answer);
        // A valid request reaches the client, which answers that its peer is unavailable.
        let is_typed = status.is_client_error() && code == "Malformed"
            || status == StatusCode::SERVICE_UNAVAILABLE && code == "Unavailable";
        prop_assert!(is_typed, "{path}: {status} {answer}");
    });
}

#[test]
fn a_body_that_is_longer_than_signed_is_refused_before_its_next_piece_is_read() {
    let (port, paths) = (Port::new(), paths());
    let strategy = (prop::sample::select(paths), any_body(), 1..5000usize);
    proptest!(|((path, signed, piece) in strategy)| {
        let read = Arc::new(AtomicUsize::new(0));
        let (status, _) = port.call(&path, &signed, |signed| {
            let (read, signed) = (read.clone(), Bytes::copy_from_slice(signed));
            let endless = futures_util::stream::repeat(Bytes::from(vec![b' '; piece]));
            let pieces = futures_util::stream::iter([signed]).chain(endless);
            Body::from_stream(pieces.map(move |piece| {
                read.fetch_add(piece.len(), Ordering::Relaxed);
                Ok::<_, std::convert::Infallible>(piece)
            }))
        });
        prop_assert!(status.is_client_error(), "{}", status);
        prop_assert!(read.load(Ordering::Relaxed) <= signed.len() + piece);
    });
}

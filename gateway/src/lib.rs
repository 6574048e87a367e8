//! The gateway of Cairn: the part that speaks S3 with clients.
//!
//! A request passes these modules in this order:
//!
//! | module | what is there |
//! |---|---|
//! | `server` | the start and the end of a gateway's listener |
//! | `service` | the steps of every request: id, framing, authentication, route, log |
//! | `client_limits` | how many requests each client may have in flight |
//! | [`auth`] | signatures: `header_auth` and `presign` parse them, `claim` verifies them; no IO |
//! | `credentials` | the secret keys, fetched from the metanode |
//! | `identity` | the holder of an access key with its policies, and what is known of a sender |
//! | `caller` | the caller of a request: anonymous, or the holder of a key |
//! | `access` | whether the caller has the permissions that the operation needs, and the means of acting, which only a decision gives |
//! | `route` | from method, target, query and headers to an operation |
//! | `admission` | reduces the head of a request to what its operation declares, or refuses it |
//! | `request`, `response` | what an operation gets and returns; an error as HTTP (`response::error`) |
//! | `ops` | the operations, one file each, a folder per resource; `ops::unbuilt` lists those that are missing |
//! | `query_service` | the steps of requests for the IAM API and STS, which share the endpoint |
//! | `query_protocol`, `iam`, `sts` | AWS's Query protocol, and the operations of the two services |
//! | `oidc` | web identity tokens of OpenID Connect providers, and the providers' keys |
//! | `early` | answers that begin before the work is done, so that clients do not time out |
//!
//! These serve the operations:
//!
//! | module | what is there |
//! |---|---|
//! | `declaration` | the members of each operation: headers, parameters, elements, and which of them work |
//! | [`operations_table`] | all declarations as JSON and as `docs/s3.md` |
//! | [`body`] | request bodies: `chunked` removes aws-chunked, `verify` checks all digests in one pass |
//! | [`data`] | the data path: bodies to blocks and back, see below |
//! | `repeating`, `retry` | changes of metadata, repeated until their outcome is known |
//! | [`checksum`] | `x-amz-checksum-*`: compute, combine, show |
//! | [`types`] | parts of requests, parsed: names, ranges, conditions, tags, dates |
//! | `headers`, [`uri`], [`xml`] | header values as text, percent-encoding, documents |
//! | `error` | S3's error codes, and the S3 error for each error of the metanode |
//! | `gateway`, `config` | the state that all requests share, and its settings |
//!
//! # Where to find it in the data path
//!
//! | task | file |
//! |---|---|
//! | divide a body into blocks | `data/upload.rs`; fill one block: `data/buffer.rs`; send it to datanodes: `data/send.rs` |
//! | take grants ahead of need | `data/grants.rs` |
//! | renew a lease, return unused grants | `data/lease.rs` |
//! | commit, and repeat a commit | `data/commit.rs`; write a block again that was lost before: `data/rewrite.rs` |
//! | read an object, and try another replica | `data/reader.rs` |
//! | check the chunks of a range | `data/replica.rs` |
//! | keep a version that is being read | `data/reads.rs` |
//! | limit memory | `data/budget.rs`; in turn: `data/fair.rs`; for slow clients: `data/slow_clients.rs` |
//!
//! # To add an operation
//!
//! Make a file in the folder of its resource with a type that implements `ops::Operation`, put it into that folder's
//! `ROUTES`, and remove it from `ops::unbuilt`. Its `DECLARATION` names method, resource, selectors, and every header,
//! parameter and element that AWS's service model has for it: what is not declared there never reaches it.
//! `docs/s3.md` is made from it: `cairn s3-operations --markdown > docs/s3.md`. `parse` reads the request's head.
//! `run` gets an `Authorised` (the services, which only a decision about access gives), a `Request` with its `Caller`, and the unread
//! `RequestBody`:
//! `payload` gives object data as a verifying stream, `document` gives XML. Answers come from `response`; errors are
//! `S3Error`, into which a `MetadataError` turns with `?`.
//!
//! Architecture invariants: signatures, framing, XML, ranges and checksums do no IO and read no clock.
//! An operation never acts for a caller that was not authorised, nor sees a header or parameter that it does not declare.

mod access;
mod admission;
pub mod auth;
pub mod body;
mod caller;
pub mod checksum;
mod client_limits;
mod config;
mod credentials;
pub mod data;
mod declaration;
mod early;
mod error;
mod gateway;
mod headers;
mod iam;
mod identity;
mod oidc;
pub mod operations_table;
mod ops;
mod query_protocol;
mod query_service;
mod repeating;
mod request;
mod response;
mod retry;
mod route;
mod server;
mod service;
mod sts;
pub mod types;
pub mod uri;
pub mod xml;

pub use config::{Config, ConfigError};
pub use error::{ErrorCode, S3Error, S3Result};
pub use gateway::Gateway;
pub use server::serve;

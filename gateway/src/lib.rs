//! The S3 edge of Cairn: what S3 clients talk to.
//!
//! | module | what is there |
//! |---|---|
//! | [`service`] | what happens to every request: id, framing, authentication, route, log |
//! | [`auth`] | Signature Version 4, pure |
//! | [`route`] | from method, target, query and headers to an operation |
//! | [`declaration`] | what S3 knows of each operation, and what of it is done: headers, parameters, elements |
//! | [`ops`] | the operations, one file each, a folder per resource |
//! | [`request`], [`response`] | what an operation is given, and what it gives |
//! | [`types`] | parts of requests, parsed: names, ranges, conditions, tags … |
//! | [`body`] | request bodies: aws-chunked taken off, every digest checked in one pass |
//! | [`data`] | the data path: bodies to blocks and back |
//! | [`checksum`] | `x-amz-checksum-*`: compute, combine, show |
//! | [`headers`] | the one way from a header's bytes to text |
//! | [`error`] | S3's error codes, and the one place where they become HTTP |
//! | [`xml`], [`uri`] | documents and percent-encoding |
//! | [`repeating`] | changes of metadata, repeated until their outcome is known |
//! | [`early`] | answers that begin before the work is done |
//! | [`caller`], [`credentials`] | who may ask |
//! | [`guests`] | how many requests each client may have in flight |
//! | [`gateway`], [`config`], [`server`] | what all requests share, its settings, its start and end |
//!
//! # To add an operation
//!
//! Make a file in the folder of its resource with a type that implements [`ops::Operation`], put it into that
//! folder's `ROUTES`, and take it off [`ops::unbuilt`]. Its `DECLARATION` names method, resource, selectors, and every
//! header, parameter and element that AWS's service model has for it: what is not declared there never reaches it.
//! `docs/s3.md` is made from it: `cairn s3-operations --markdown > docs/s3.md`. `parse` reads the request's head;
//! `run` gets a [`request::Request`] (with a verified [`caller::Caller`]; only the service makes one) and the unread
//! [`request::RequestBody`]: [`payload`](request::RequestBody::payload) for object data as a verifying stream,
//! [`document`](request::RequestBody::document) for XML. Answers come from [`response`]; errors are
//! [`error::S3Error`], into which a `MetadataError` turns with `?`.
//!
//! Architecture invariants: signatures, framing, XML, ranges and checksums do no IO and read no clock.
//! An operation never sees an unverified caller, nor a header or parameter that it does not declare.

pub mod auth;
pub mod body;
pub mod caller;
pub mod checksum;
pub mod config;
pub mod credentials;
pub mod data;
pub mod declaration;
pub mod early;
pub mod error;
pub mod gateway;
pub mod guests;
pub mod headers;
pub mod ops;
pub mod repeating;
pub mod request;
pub mod response;
pub mod route;
pub mod server;
pub mod service;
pub mod types;
pub mod uri;
pub mod xml;

pub use config::{Config, ConfigError};
pub use gateway::Gateway;
pub use server::serve;
pub use service::S3Service;

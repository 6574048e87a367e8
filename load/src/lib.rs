//! A load generator for S3 servers: `cairn bench`.
//!
//! | module | what is there |
//! |---|---|
//! | [`plan`] | what a run does |
//! | [`workload`], [`size`] | operations with weights; sizes of objects |
//! | [`contents`] | the bytes of objects, which follow from their numbers, so that all that is read can be verified |
//! | [`objects`] | the objects that are there |
//! | [`client`], [`sign`], [`document`] | the requests of S3, signed, and each answer verified |
//! | [`failure`] | why a request failed |
//! | [`worker`] | one client: a request after the other |
//! | [`run`] | a run: preparation, warm-up, rounds in turns, cleaning up |
//! | [`samples`] | what was measured |
//! | [`server`] | CPU time and memory of a server on the same machine |
//! | [`status`] | what a run is doing, for who watches it |
//! | [`report`] | figures, comparisons, charts and the page |
//!
//! It knows nothing of Cairn's parts: it measures any S3 server. From the gateway it has the functions of signatures.

mod client;
pub mod contents;
mod document;
mod failure;
mod objects;
mod plan;
pub mod report;
mod run;
mod samples;
mod server;
mod sign;
pub mod size;
mod status;
mod worker;
pub mod workload;

pub use client::Target;
pub use failure::Failure;
pub use plan::Plan;
pub use report::Report;
pub use run::{Measured, RunError, run};
pub use sign::Credentials;
pub use status::{Phase, Status};

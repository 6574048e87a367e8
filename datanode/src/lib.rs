//! The datanode: it stores replicas of blocks on its disks, receives and sends them, and scrubs them.
//!
//! | module | what is there |
//! |---|---|
//! | `config` | [`Config`]: what an operator decides |
//! | `datanode` | [`Datanode`], [`serve`]: the order of start and stop |
//! | [`volume`] | replicas on one disk: segments, index, trash, recovery. The only module that touches files |
//! | `service` | [`BlockStore`](service::BlockStore): receive, send, copy and delete a block; the pipeline; what happens to a damaged replica; the HTTP routes |
//! | `control` | registration, block reports, heartbeats and commands: all messages to and from the metanode |
//! | `incremental_report` | what changed since the last heartbeat that was answered |
//! | `recent` | which blocks were stored after a command was given |
//! | `block_locks` | one writer or delete of a block at a time |
//! | `scrub` | reading every replica within a period |
//! | `maintenance` | the regular upkeep of volumes: probes, compaction, checkpoints, emptying the trash |
//!
//! | where is | it is in |
//! |---|---|
//! | the check of a range's chunks | `volume::read` ([`BlockReader::read`](volume::BlockReader::read)), called by `service::get` |
//! | the acknowledgement of a write | `service::put`, after `volume::write` has made it durable |
//! | the report of a corrupt replica | `service::damage`, then `incremental_report`, then `control::session` |
//! | the choice of a volume for a block | `volume::volumes`, called by `service::put` |
//! | the space that a write reserves | `volume::space` |
//! | the delay between attempts to reach the metanode | `control::retry` |
//!
//! Architecture invariant: nothing here knows of buckets, keys or S3. A block is acknowledged only when it is durable, and no
//! byte is sent that does not match its checksum.

mod block_locks;
mod config;
mod control;
mod datanode;
mod incremental_report;
mod maintenance;
mod recent;
mod scrub;
mod service;
pub mod volume;

pub use config::Config;
pub use control::RefusedError;
pub use datanode::{Datanode, ServeError, serve};

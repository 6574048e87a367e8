//! The datanode: checksummed blocks on disks, the pipeline, and the scrubber.
//!
//! | module | what is there |
//! |---|---|
//! | `config` | what an operator decides |
//! | `datanode` | starting and stopping: [`Datanode`], [`serve`] |
//! | [`volume`] | blocks on a disk: the only place that touches files |
//! | `service` | what others ask: the `BlockService`, and its routes |
//! | `control` | what it tells the metanode and is told by it |
//! | `incremental_report` | what changed since the last heartbeat that was answered |
//! | `in_flight` | who is busy with a block |
//! | `recent` | which blocks were stored a moment ago |
//! | `scrub` | reading every block within a period |
//! | `maintenance` | compaction and checkpoints |
//!
//! Architecture invariant: nothing here knows of buckets, keys or S3. A block is acknowledged when it is durable, and
//! no byte leaves that does not match its checksum.

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

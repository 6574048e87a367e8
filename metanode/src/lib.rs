//! The metanode: the namespace (buckets, keys, versions, uploads) and the block manager
//! (placement, liveness, repair, garbage), over one SQL database.
//!
//! | module | what is there |
//! |---|---|
//! | [`config`] | what an operator decides |
//! | `metanode` | starting and stopping: [`Metanode`], [`serve`] |
//! | `directory` | the data directory, held by one process at a time |
//! | `http` | the routes: services, `/health`, `/events` |
//! | [`namespace`] | what gateways ask: the `Metadata` service |
//! | [`blocks`] | where blocks are: grants, placement, liveness, repair; the `Cluster` and `Admin` services |
//! | [`store`] | everything that knows SQL; group commit |
//!
//! Architecture invariant: nothing here knows of S3's HTTP, of XML, or of files of blocks. What must
//! survive a restart is in SQL; memory holds nothing else that grows with the number of objects.

pub mod block_manager;
pub mod config;
mod directory;
mod http;
mod metanode;
pub mod namespace;
pub mod store;

pub use config::Config;
pub use directory::DirectoryError;
pub use metanode::{Metanode, OpenError, serve};

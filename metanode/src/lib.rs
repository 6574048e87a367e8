//! The metanode: the namespace (buckets, keys, versions, uploads) and the block manager
//! (placement, liveness, repair, garbage), over one SQL database.
//!
//! | module | contents |
//! |---|---|
//! | [`config`] | the configuration |
//! | `metanode` | starting and stopping: [`Metanode`], [`serve`] |
//! | `directory` | the data directory, locked by one process at a time |
//! | `http` | the routes: services, `/health`, `/events` |
//! | `vault` | the master key, and the secrets that are sealed with it |
//! | `access` | the epoch of access control |
//! | `iam` | the `Iam` service: accounts, users, groups, roles, access keys, policies |
//! | [`namespace`] | the `Metadata` service, for gateways |
//! | [`block_manager`] | the `Cluster` and `Admin` services; see below |
//! | [`store`] | all SQL, and group commit |
//!
//! Where the parts of the block manager are:
//!
//! | question | file in `block_manager/` |
//! |---|---|
//! | who may store a block: grants, and the leases that gateways renew | `grants.rs`; ended leases: `workers/leases.rs` |
//! | placement by zones | the crate `cairn_planner`, called by `grants.rs` and `workers/` |
//! | the grace period of deletes | `workers/garbage.rs`; its length: `config.rs`; what is old enough: `clock.rs` |
//! | a heartbeat: registration, reported changes, commands | `cluster/` |
//! | what a stored, deleted or corrupt replica changes, also when a heartbeat reports it | `replica_changes/` |
//! | repair of under-replicated blocks | `repair_queue.rs`, `workers/repair.rs` |
//! | when a node is live, stale or dead | `soft_state/nodes/state.rs`, `workers/liveness.rs` |
//! | whether anything may be deleted | `hold.rs` |
//! | what a restart loses | `soft_state/` |
//!
//! Architecture invariant: nothing here depends on S3's HTTP, on XML, or on files of blocks. All state that must
//! survive a restart is in SQL; memory holds nothing else that grows with the number of objects.

mod access;
pub mod block_manager;
pub mod config;
mod directory;
mod http;
mod iam;
mod metanode;
pub mod namespace;
pub mod store;
mod vault;

pub use config::Config;
pub use directory::DirectoryError;
pub use metanode::{Metanode, OpenError, serve};
pub use vault::{MasterKey, MasterKeyError, MasterKeySource};

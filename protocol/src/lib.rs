//! The code that several parts of Cairn share: their messages, and what these need. Code of a single part is not here.
//!
//! | module | what is there |
//! |---|---|
//! | [`id`] | a newtype per identifier |
//! | [`env`] | time, randomness and ids through one injected handle |
//! | [`checksum`] | CRC32C of chunks, and how they combine to a block's |
//! | [`secret`] | the cluster's secret: grants and block tokens |
//! | [`signature`] | signed calls and answers, each call served once |
//! | [`tls`] | mutual TLS between the parts |
//! | [`metadata`] | gateway → metanode: buckets, objects, uploads, grants |
//! | [`cluster`] | datanode → metanode: registration, heartbeats, block reports; and commands back |
//! | [`block`] | gateway, datanode → datanode: the block service, its HTTP client and its wire format |
//! | [`rpc`] | how a service trait becomes an HTTP router and an HTTP client |
//! | [`admin`] | operator → metanode: status |
//! | [`iam`] | operator, gateway → metanode: accounts, users, groups, roles, keys, policies |
//! | [`event`] | typed events that tests and operators wait on |
//! | [`count`] | counts that notice when more is taken off than was added |
//! | [`log`] | warnings that name the side at fault |
//!
//! Architecture invariant: this crate knows nothing of S3, SQL or files of blocks.

pub mod admin;
pub mod block;
pub mod checksum;
pub mod cluster;
pub mod count;
pub mod env;
pub mod event;
pub mod iam;
pub mod log;
pub mod metadata;
pub mod rpc;
pub mod secret;
pub mod signature;
pub mod tls;

/// Identifiers are values without IO; every message carries some.
pub use cairn_types::id;

//! Values without IO: what the planner and the simulator need to know, and every message carries.
//!
//! | module | what is there |
//! |---|---|
//! | [`id`] | a newtype per identifier |
//! | [`node`] | a datanode's liveness, and what an operator wants of it |
//! | [`time`] | milliseconds since the Unix epoch |
//! | [`block`] | how large a block can be |
//!
//! Architecture invariant: this crate depends on `serde` and `uuid` only. The planner and the simulator depend on it and
//! not on `cairn-protocol`, so that cargo itself keeps HTTP, TLS and an asynchronous runtime out of them.

pub mod block;
pub mod id;
pub mod node;
pub mod time;

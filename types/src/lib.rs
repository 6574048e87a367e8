//! Values without IO, which the planner, the simulator and the messages between the parts use.
//!
//! | module | what is there |
//! |---|---|
//! | [`id`] | a newtype per identifier |
//! | [`node`] | a datanode's liveness and its administrative state |
//! | [`time`] | milliseconds since the Unix epoch |
//! | [`block`] | the largest length of a block |
//!
//! Architecture invariant: this crate depends on `serde` and `uuid` only. The planner and the simulator depend on it and
//! not on `cairn-protocol`, so that cargo itself keeps HTTP, TLS and an asynchronous runtime out of them.

pub mod block;
pub mod id;
pub mod node;
pub mod time;

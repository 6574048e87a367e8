//! Decisions about blocks: pure functions from a view of the cluster to commands. They do no IO,
//! read no clock, and take their randomness from a generator that is handed in.
//!
//! | module | what it decides |
//! |---|---|
//! | [`view`] | what decisions know of the nodes |
//! | [`block`] | what decisions know of a block |
//! | [`placement`] | which nodes get a block's replicas: spread over zones, weighted by free space |
//! | [`examine`] | what one block needs: more replicas, fewer, or a bad one removed |
//! | [`obstacle`] | why a block that needs replicas gets none |
//! | [`balance`] | which blocks move from full nodes to empty ones |
//! | [`stopping`] | what becomes of a block when nodes are stopped |
//! | [`budget`] | how much may be under way at once, per node and in all |
//! | [`size`] | how large the next block of an object may become |
//!
//! Sizes and utilisation are always the predicted ones: what is used, plus what was granted and what
//! is on its way in, less what is on its way out, be it deleted or moved.
//!
//! What the rules promise together, and the simulator checks:
//!
//! * No decision lowers a block below its replication: a good replica is dropped only while as many as the
//!   replication asks for remain on reliable nodes: live, in service and not suspect.
//! * A node never gets a second replica of a block, nor one while it is getting or deleting one.
//! * Left alone, with nodes enough, everything comes to rest.

pub mod balance;
pub mod block;
pub mod budget;
pub mod examine;
mod index;
pub mod obstacle;
pub mod placement;
pub mod size;
pub mod stopping;
pub mod view;

pub use self::view::{ClusterView, NodeView};

#[cfg(test)]
mod tests;

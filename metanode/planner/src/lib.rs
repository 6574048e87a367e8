//! Decisions about blocks: pure functions from a view of the cluster to commands. They do no IO, read no clock, and
//! take their randomness from a generator that the caller passes.
//!
//! | module | contents |
//! |---|---|
//! | [`view`] | the view of the nodes that decisions use |
//! | [`block`] | the view of a block that decisions use |
//! | [`placement`] | which nodes get a block's replicas: spread over zones, weighted by free space |
//! | [`examine`] | the copies and drops that a block needs |
//! | [`obstacle`] | why a block that needs replicas gets none |
//! | [`balance`] | which blocks move from full nodes to empty ones |
//! | [`stopping`] | the risk to a block when nodes are stopped |
//! | [`budget`] | the cost of a copy, and the limit of copies under way at a node |
//! | [`size`] | the largest size of the next block of an object |
//!
//! Sizes and utilisation are always predicted: the used bytes, plus those that were granted or are on their way in,
//! less those on their way out because they are being deleted or moved.
//!
//! Together the rules promise the following, and the simulator checks it:
//!
//! * No decision lowers a block below its replication: a good replica is dropped only while as many as the replication
//!   remain on reliable nodes: live, in service and not suspect.
//! * A node never gets a second replica of a block, nor one while it is getting or deleting one.
//! * If nothing else happens and there are enough nodes, all work ends.

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

//! Starts whole clusters for tests: the parts in this process, or the `cairn` binary as separate
//! processes. A test is written once and runs against both.

mod cluster;
mod in_process;
mod process;

pub use cluster::{Cluster, Mode, Options};

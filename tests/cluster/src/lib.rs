//! Starts whole clusters for tests, either with all parts in this process or with the `cairn` binary as separate processes.
//! A test is written once and runs against both.

mod cluster;
mod in_process;
mod process;

pub use cluster::{Cluster, Mode, Options};

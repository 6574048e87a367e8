//! Simulated clusters: seeds in, histories out.
//!
//! A discrete-event simulation of a whole block store, in which every decision is made by the functions of
//! [`cairn_planner`] that a real metanode calls. The same seed gives the same history, to the last byte.
//!
//! | module | what is in it |
//! |---|---|
//! | [`config`] | how fast, how large and how patient a simulated cluster is |
//! | [`cluster`] | the cluster and its clock: takes one event after the other |
//! | [`node`], [`block`] | what there is, and apart from it what the metanode knows of it |
//! | [`soft_state`] | what the metanode forgets when it restarts: copies and moves under way, queues |
//! | `nature` | crashes, returns, losses, bad blocks, broken volumes |
//! | `operator` | drains, maintenance, nodes that come and go; restarts of the metanode |
//! | `client` | writes and deletes |
//! | `commands` | copies and deletions on their way to the nodes and back |
//! | `repair`, `balancer` | the metanode's workers, with their rates |
//! | [`promise`] | what the planner promises, and what it is to break it |
//! | `check` | whether the promises hold: at every command, and when a cluster is left alone |
//! | [`tally`] | what was done, and what gave cause to it |
//! | [`history`] | random histories of small clusters |
//! | [`years`] | years of failures in large ones |
//! | [`balancing`] | a cluster that gets new nodes, with and without the knowledge of moves under way |
//!
//! What it leaves out: heartbeats are not events but a delay of each message, for nothing but their lack
//! changes anything; a volume's segments, chunks and checksums; gateways.

pub mod balancing;
pub mod block;
pub mod cluster;
pub mod config;
pub mod history;
pub mod node;
pub mod promise;
pub mod soft_state;
pub mod tally;
pub mod years;

mod balancer;
mod check;
mod client;
mod commands;
mod events;
mod nature;
mod operator;
mod repair;

//! Simulated clusters: a seed determines a history.
//!
//! A discrete-event simulation of a whole block store. Every decision is made by the functions of [`cairn_planner`]
//! that a real metanode calls. The same seed gives the same history, to the last byte.
//!
//! | module | contents |
//! |---|---|
//! | [`config`] | the configuration of a simulated cluster: rates, sizes and times |
//! | [`cluster`] | the cluster and its clock: handles one event after the other |
//! | [`node`], [`block`] | the real state, and apart from it what the metanode knows of it |
//! | [`soft_state`] | the state that the metanode loses in a restart: copies and moves under way, queues |
//! | `nature` | crashes, returns, losses, bad blocks, broken volumes |
//! | `operator` | drains, maintenance, nodes that are added and removed; restarts of the metanode |
//! | `client` | writes and deletes |
//! | `commands` | copies and deletions on their way to the nodes, and their results |
//! | `repair`, `balancer` | the metanode's workers, with their rates |
//! | [`promise`] | the promises of the planner |
//! | `check` | whether the promises hold: at every command, and when a cluster is left alone |
//! | [`tally`] | counts of what was done, and of its causes |
//! | [`history`] | random histories of small clusters |
//! | [`years`] | years of failures in large ones |
//! | [`balancing`] | a cluster that gets new nodes, with and without moves under way in the prediction |
//!
//! The simulation leaves out the following: heartbeats are no events but a delay of each message, because only their
//! absence changes anything; a volume's segments, chunks and checksums; gateways.

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

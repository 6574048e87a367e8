//! Tests of datanodes through their public interfaces: real files, real HTTP, and a metanode whose answers the test decides.

mod blocks;
mod cluster;
mod damage;
mod kill;
mod machine;
mod metanode;
mod packs;
mod pipeline;
mod scrub;
mod start;
mod support;
mod volumes;

//! Datanodes through their public doors: real files, real HTTP, and a metanode that says what the test wants.

mod blocks;
mod cluster;
mod damage;
mod kill;
mod machine;
mod metanode;
mod pipeline;
mod scrub;
mod start;
mod support;
mod volumes;

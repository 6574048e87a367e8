//! Tests of the data path with simulated datanodes and a simulated metanode, whose faults the tests choose.

mod budget;
mod packs;
mod read;
mod reads;
mod world;
mod write;

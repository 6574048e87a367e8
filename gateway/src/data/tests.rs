//! The data path against datanodes and a metanode that do what a test tells them.

mod budget;
mod read;
mod reads;
mod world;
mod write;

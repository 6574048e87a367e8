//! The block manager on a real database, with datanodes that exist only in the test, and time that
//! passes when the test says so.

mod cluster;
mod garbage;
mod grants;
mod history;
mod nodes;
mod repair;
mod reports;

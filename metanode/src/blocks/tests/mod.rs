//! The block manager on a real database, with datanodes that exist only in the test, and time that
//! passes when the test says so.

mod bucket_settings;
mod cluster;
mod fsck;
mod garbage;
mod grants;
mod history;
mod location;
mod nodes;
mod repair;
mod reports;
mod support;

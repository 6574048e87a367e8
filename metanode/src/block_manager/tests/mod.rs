//! The block manager on a real database, with datanodes that exist only in the test, and time that
//! passes when the test says so.

mod balance;
mod bucket_settings;
mod can_stop;
mod cluster;
mod commits;
mod cost;
mod damage;
mod deleted_buckets;
mod drain;
mod failing;
mod fsck;
mod garbage;
mod grants;
mod hangups;
mod history;
mod hold;
mod lifecycle;
mod location;
mod maintenance;
mod nodes;
mod overwrites;
mod pack;
mod placement;
mod remove;
mod repair;
mod replica_changes;
mod reports;
mod scrub;
mod support;
mod usage;
mod workers;

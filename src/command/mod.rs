//! One file per subcommand.

pub(crate) mod admin;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod datanode;
pub(crate) mod gateway;
pub(crate) mod metanode;
pub(crate) mod s3_operations;
pub(crate) mod server;

//! Who sends a request: the holder of its access key, and what the connection and the head say.

pub(crate) mod condition_keys;
mod context;
mod facts;
mod holder;

pub(crate) use context::{add_facts, add_holder};
pub(crate) use facts::Facts;
pub(crate) use holder::{KeyHolder, OwnPolicies};

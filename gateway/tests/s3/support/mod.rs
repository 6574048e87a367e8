//! The store, the client and the assertions that all tests use.

mod between;
mod client;
mod reply;
mod sign;
mod store;

pub(crate) use between::{Between, Fate};
pub(crate) use client::{Call, Client};
pub(crate) use reply::{Reply, texts};
pub(crate) use sign::{Body, presign, sign};
pub(crate) use store::{ACCESS_KEY, BUCKET, SECRET_KEY, Setup, Store};

//! What the tests stand on.

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

//! Warnings that say whose fault it was.
//!
//! `fault=self`: this process broke; in tests such a warning is a failure.
//! `fault=peer`: somebody whom we talk to broke, and we coped.

/// A warning about this process: it broke a promise or lost something that it should have.
#[macro_export]
macro_rules! warn_self {
    ($($arg:tt)+) => { ::tracing::warn!(fault = "self", $($arg)+) };
}

/// A warning about a peer: a client, a node or a disk of somebody else misbehaved.
#[macro_export]
macro_rules! warn_peer {
    ($($arg:tt)+) => { ::tracing::warn!(fault = "peer", $($arg)+) };
}

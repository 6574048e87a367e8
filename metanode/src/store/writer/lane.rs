//! The two lanes of mutations, by who waits for them.

/// The queue that a mutation waits in, by the importance of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A client or an operator waits.
    Client,
    /// A worker, report or heartbeat waits, for which a short delay does not matter.
    Background,
}

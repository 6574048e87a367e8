//! The two lanes of mutations, by who waits for them.

/// The lane of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A client or an operator waits.
    Client,
    /// Workers, reports and heartbeats: no client waits.
    Background,
}

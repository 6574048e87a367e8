//! The two kinds of mutations, by who waits for them.

/// Who waits for a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A client, or an operator.
    Client,
    /// Workers, reports, heartbeats: what may come a little later.
    Background,
}

//! The client to which memory is charged.

use std::net::IpAddr;
use std::sync::Arc;

/// A client, identified by address and access key. Clients behind one proxy differ by their keys, and clients with the
/// same key by their addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(Option<(IpAddr, Arc<str>)>);

tokio::task_local! {
    static OWNER: Owner;
}

impl Owner {
    /// The client at this address with this access key.
    pub fn of(address: IpAddr, access_key: &str) -> Self {
        Self(Some((address, access_key.into())))
    }

    /// The client whose request this task serves. All tasks that serve no request share one value.
    pub(super) fn current() -> Self {
        OWNER.try_with(Clone::clone).unwrap_or(Self(None))
    }

    /// Runs `work` for this client.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> T {
        OWNER.scope(self, work).await
    }
}

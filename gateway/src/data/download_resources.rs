//! The resources of a download while its client reads: memory and open replicas. A slow client gives them back
//! (`slow_clients`).

use tokio_util::task::AbortOnDropHandle;

use super::budget::Slot;
use super::fair::Permit;
use super::replica::OpenReplica;

/// The resources of a download while its client reads: memory and open replicas.
pub(super) struct DownloadResources {
    pub(super) slot: Slot,
    pub(super) current: Option<OpenReplica>,
    /// The replica of the next extent, which is being opened.
    pub(super) ahead: Option<ReplicaAhead>,
}

/// A replica that is opened before it is needed.
pub(super) struct ReplicaAhead {
    pub(super) task: AbortOnDropHandle<Option<OpenReplica>>,
    /// The offset in the object at which the extent begins.
    pub(super) object_offset: u64,
    pub(super) _memory: Permit,
}

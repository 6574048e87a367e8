//! The clock by which locks of versions end.

use serde::{Deserialize, Serialize};

use crate::env::Timestamp;

/// Requests the state of the clock for locks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LockClockRequest {}

/// Sets the clock for locks forward to the wall clock. The operator vouches for the metanode's wall clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdvanceLockClock {
    /// The latest time that is meant: what the operator saw and agreed to. The clock stays at or before it.
    pub until: Timestamp,
}

/// The state of the clock for locks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockClockStatus {
    /// Its time.
    pub time: Timestamp,
    /// The metanode's wall clock.
    pub wall: Timestamp,
    /// How far it is behind the wall clock, in milliseconds. Locks last longer by that much.
    pub behind_ms: u64,
    /// How much of the time that no metanode runs the next start will believe without an operator's word, in milliseconds.
    pub allowance_ms: u64,
}

//! Which of several actions is done when they conflict.
//!
//! Source: User Guide, "Conflicting lifecycle policies" in "Examples of S3 Lifecycle configurations": a deletion for good wins over a
//! transition, a transition over a delete marker, and of transitions the one to the colder class. Of expirations the earlier wins.

use std::cmp::Reverse;

use cairn_types::time::Timestamp;

use crate::plan::{Action, Planned};

/// AWS's storage classes from the warmest to the coldest.
const CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "INTELLIGENT_TIERING",
    "STANDARD_IA",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];

/// The action to do now; `None` if none is due. `keeps_versions` is whether the bucket's versioning is enabled or suspended, so that
/// an expiration puts a delete marker on top and deletes nothing for good.
pub fn decide<'p, 'r>(
    planned: &'p [Planned<'r>],
    now: Timestamp,
    keeps_versions: bool,
) -> Option<&'p Planned<'r>> {
    let due = planned.iter().filter(|planned| planned.due <= now);
    // Of equal ones the first rule's.
    due.min_by_key(|planned| {
        let (rank, coldness) = rank(&planned.action, keeps_versions);
        (rank, Reverse(coldness), planned.due)
    })
}

/// The place among conflicting actions, the first of which is done; and of a transition how cold its class is.
fn rank(action: &Action, keeps_versions: bool) -> (u8, usize) {
    match action {
        Action::DeleteVersion | Action::RemoveMarker | Action::Abort => (0, 0),
        Action::Expire if !keeps_versions => (0, 0),
        // A class of the configuration is as warm as STANDARD: nothing is known of it.
        Action::Transition(class) => (1, CLASSES.iter().position(|known| known == class).unwrap_or(0)),
        Action::Expire => (2, 0),
    }
}

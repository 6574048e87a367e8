//! Which of several actions is done when they conflict.
//!
//! Source: User Guide, "Conflicting lifecycle policies" in "Examples of S3 Lifecycle configurations": a deletion for good wins over a
//! transition, a transition over a delete marker, and of transitions the one to the colder class. Of expirations the earlier wins.

use cairn_types::time::Timestamp;

use crate::class::{changes, wins};
use crate::plan::{Action, Plan, Planned};

impl<'r> Plan<'r> {
    /// The action to do now; `None` if none is due. `keeps_versions` is whether the bucket's versioning is enabled or suspended, so
    /// that an expiration puts a delete marker on top and deletes nothing for good.
    pub fn decide(&self, now: Timestamp, keeps_versions: bool) -> Option<&Planned<'r>> {
        let due = || self.planned.iter().filter(|planned| planned.due <= now);
        let ends_for_good = |planned: &&Planned<'_>| match planned.action {
            Action::DeleteVersion | Action::RemoveMarker | Action::Abort => true,
            Action::Expire => !keeps_versions,
            Action::Transition(_) => false,
        };
        // Of equal ones the first rule's.
        due()
            .filter(ends_for_good)
            .min_by_key(|planned| planned.due)
            .or_else(|| self.transition(now))
            .or_else(|| due().filter(|planned| planned.action == Action::Expire).min_by_key(|it| it.due))
    }

    /// When there is something to do next, as far as it is known at this time. `None` if there never is, unless the object changes.
    pub fn next_due(&self, now: Timestamp, keeps_versions: bool) -> Option<Timestamp> {
        match self.decide(now, keeps_versions) {
            Some(planned) => Some(planned.due),
            None => self.planned.iter().map(|planned| planned.due).filter(|due| *due > now).min(),
        }
    }

    /// The expiration of a current version that comes first.
    pub fn expiration(&self) -> Option<&Planned<'r>> {
        self.planned.iter().filter(|planned| planned.action == Action::Expire).min_by_key(|it| it.due)
    }

    /// The change of the storage class to do now. All that are due are looked at, also the one that was done, so that an object
    /// stays in the class that won.
    fn transition(&self, now: Timestamp) -> Option<&Planned<'r>> {
        let class = self.class.as_deref()?;
        let mut due: Vec<(&str, &Planned<'r>)> = Vec::new();
        for planned in self.planned.iter().filter(|planned| planned.due <= now) {
            if let Action::Transition(to) = &planned.action
                && (to == class || changes(class, to))
            {
                due.push((to, planned));
            }
        }
        due.sort_by_key(|(_, planned)| planned.due);
        let winner = due.into_iter().reduce(|earlier, later| match wins(later.0, earlier.0) {
            // Of equal ones the first rule's.
            true if later.0 != earlier.0 => later,
            true | false => earlier,
        });
        winner.filter(|(to, _)| *to != class).map(|(_, planned)| planned)
    }
}

//! Failures of a node, and the pause in which a node that fails repeatedly gets no work.

use std::collections::VecDeque;
use std::time::Duration;

use cairn_protocol::id::NodeId;

/// A node counts as failing after this many failures without a success between them. Two may be chance: a gateway
/// restarts, or the source of a copy goes away.
const FAILURES: usize = 3;

/// How long a failing node gets no work, in multiples of the time within which it failed. After that it is tried again;
/// if it still fails, that costs three more failures.
const PAUSES: u32 = 6;

/// The recent failures of a node, since its last success.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// When each failure was, and which other node may have caused it.
    recent: VecDeque<(Duration, Option<NodeId>)>,
    /// Until when it gets no work.
    until: Duration,
}

impl Failures {
    /// Adds a failure in which `other` took part. Failures longer ago than `within` are dropped.
    pub(super) fn add(&mut self, other: Option<NodeId>, now: Duration, within: Duration) {
        self.recent.push_back((now, other));
        while self.recent.front().is_some_and(|(at, _)| *at + within < now) || self.recent.len() > FAILURES {
            self.recent.pop_front();
        }
        // If all failed copies had the same source, the source is more likely at fault.
        let first = self.recent.front().and_then(|(_, other)| *other);
        let others_fault = first.is_some() && self.recent.iter().all(|(_, other)| *other == first);
        if self.recent.len() >= FAILURES && !others_fault {
            self.until = now + within * PAUSES;
        }
    }

    /// Drops all failures after a success. Returns whether there were any.
    pub(super) fn forget(&mut self) -> bool {
        let any = !self.recent.is_empty() || !self.until.is_zero();
        *self = Self::default();
        any
    }

    /// Until when it gets no work; zero if it is not failing.
    pub(super) fn until(&self) -> Duration {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_failures_in_a_row_make_a_failing_node_and_a_success_ends_it() {
        let mut failures = Failures::default();
        failures.add(None, at(1), WITHIN);
        failures.add(None, at(2), WITHIN);
        assert!(failures.forget());
        failures.add(None, at(3), WITHIN);
        failures.add(None, at(4), WITHIN);
        assert_eq!(failures.until(), Duration::ZERO);
        failures.add(None, at(5), WITHIN);
        assert_eq!(failures.until(), at(65));
        assert!(failures.forget() && !failures.forget());
        assert_eq!(failures.until(), Duration::ZERO);
    }

    #[test]
    fn failures_that_are_far_apart_do_not_add_up() {
        let mut failures = Failures::default();
        for second in [0, 11, 22, 33] {
            failures.add(None, at(second), WITHIN);
        }
        assert_eq!(failures.until(), Duration::ZERO);
    }

    #[test]
    fn a_node_is_not_blamed_for_the_source_of_its_copies() {
        let source = |number| Some(NodeId(Uuid::from_u128(number)));
        let mut failures = Failures::default();
        for second in 0..5 {
            failures.add(source(1), at(second), WITHIN);
        }
        assert_eq!(failures.until(), Duration::ZERO);
        failures.add(source(2), at(5), WITHIN);
        assert_eq!(failures.until(), at(65));
    }
}

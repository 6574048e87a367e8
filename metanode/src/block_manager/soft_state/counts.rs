//! Subtraction for counts that must never fall below zero.

use cairn_protocol::warn_self;

/// `count` less `amount`.
///
/// A result below zero means that something was subtracted twice. Tests fail then. A server continues with a warning
/// and a count of zero: these counts only guide placement, so a wrong one makes a node look emptier than it is for a
/// while, whereas a panic would end a client's request or a worker.
pub(super) fn without(count: u64, amount: u64, what: &'static str) -> u64 {
    count.checked_sub(amount).unwrap_or_else(|| {
        debug_assert!(false, "{amount} is taken off {what}, of which there are {count}");
        warn_self!(what, count, amount, "more was taken off a count than was added to it; it is set to zero");
        0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_amount_can_be_subtracted() {
        assert_eq!((without(5, 3, "bytes"), without(5, 5, "bytes")), (2, 0));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "6 is taken off bytes, of which there are 5")]
    fn a_count_that_would_fall_below_zero_is_noticed() {
        without(5, 6, "bytes");
    }
}

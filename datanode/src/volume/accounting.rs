//! Subtraction for the counts of a volume: bytes, records, files.
//!
//! Nothing may be taken off a count that was not added to it before. If it happens, an addition is missing somewhere, and a
//! count that wraps around or silently stops at zero hides it. Tests panic. A server logs the error and goes on with zero:
//! a panic would end the thread that writes the volume, while the counts only choose what to do next (which segment to
//! compact, whether a block is accepted), and the next start counts anew. What would lose data does not trust a count: before
//! compaction removes a segment it asks the index for blocks that lie there.

use cairn_protocol::warn_self;

/// `count` without `amount`. `what` names the count in the log.
pub(crate) fn without(count: u64, amount: u64, what: &'static str) -> u64 {
    count.checked_sub(amount).unwrap_or_else(|| {
        debug_assert!(false, "{amount} is taken off the {what}, which are {count}");
        warn_self!(what, count, amount, "more is taken off a count than was added to it; it is set to zero");
        0
    })
}

/// Takes `amount` off `count`.
pub(crate) fn take_off(count: &mut u64, amount: u64, what: &'static str) {
    *count = without(*count, amount, what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_can_be_taken_off() {
        let mut count = 5;
        take_off(&mut count, 3, "bytes");
        take_off(&mut count, 2, "bytes");
        assert_eq!(count, 0);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "6 is taken off the bytes, which are 5")]
    fn a_test_notices_that_more_is_taken_off_than_was_added() {
        without(5, 6, "bytes");
    }

    #[test]
    #[cfg(not(debug_assertions))]
    fn a_server_goes_on_with_zero_when_more_is_taken_off_than_was_added() {
        assert_eq!(without(5, 6, "bytes"), 0);
    }
}

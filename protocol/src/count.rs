//! Subtraction for counts of bytes, records and replicas that must never fall below zero.
//!
//! A subtraction of more than was added means that an addition is missing. A count that wraps around, or silently stops at
//! zero, hides that. So tests panic. A server logs the fault and continues with zero, because a panic would end a client's
//! request or a worker. These counts only choose the next work (which node gets a block, which segment is compacted), and the
//! next report or start corrects a wrong one. Code that could lose data does not rely on such a count.

/// `count` less `amount`. `what` names the count in the log.
pub fn without(count: u64, amount: u64, what: &'static str) -> u64 {
    count.checked_sub(amount).unwrap_or_else(|| {
        debug_assert!(false, "{amount} is taken off the {what}, which are {count}");
        crate::warn_self!(
            what,
            count,
            amount,
            "more was taken off a count than was added to it; it is set to zero"
        );
        0
    })
}

/// `count` changed by `change`, for a count that is kept on a disk. An earlier fault may have made it wrong there, so a test goes
/// on with zero too, after the line in the log. `what` names the count.
pub fn changed(count: u64, change: i64, what: impl std::fmt::Debug) -> u64 {
    count.checked_add_signed(change).unwrap_or_else(|| {
        if change > 0 {
            return u64::MAX;
        }
        crate::warn_self!(
            ?what,
            count,
            change,
            "more was taken off a count than was added to it; it is set to zero"
        );
        0
    })
}

/// Subtracts `amount` from `count`. `what` names the count in the log.
pub fn take_off(count: &mut u64, amount: u64, what: &'static str) {
    *count = without(*count, amount, what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_amount_can_be_subtracted() {
        let mut count = 5;
        take_off(&mut count, 3, "bytes");
        take_off(&mut count, 2, "bytes");
        assert_eq!(count, 0);
    }

    #[test]
    fn a_count_on_a_disk_neither_wraps_around_nor_panics() {
        assert_eq!(changed(5, 3, "bytes"), 8);
        assert_eq!(changed(5, -5, "bytes"), 0);
        assert_eq!(changed(5, -6, "bytes"), 0);
        assert_eq!(changed(0, i64::MIN, "bytes"), 0);
        assert_eq!(changed(u64::MAX, 1, "bytes"), u64::MAX);
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

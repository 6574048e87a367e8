//! The numbers of one caller that were seen, in the way of IPsec (RFC 6479): a floor, below which all numbers count as seen,
//! and a bit for each number above it.

use std::collections::VecDeque;

/// How many later calls of its caller may arrive before a call. It is enough for a gateway that makes 10,000 calls a second and
/// of which one is delayed for a second. It costs at most 2 KiB per caller.
pub(super) const SPAN: u64 = 16_384;

const WORD: u64 = u64::BITS as u64;

/// The numbers that were seen.
#[derive(Debug)]
pub(super) struct Window {
    /// A multiple of [`WORD`]; all numbers below it count as seen.
    floor: u64,
    /// A bit for each number from the floor on.
    seen: VecDeque<u64>,
}

impl Window {
    /// A window in which no number was seen. Numbers shortly before `first` may still arrive.
    pub(super) fn starting_near(first: u64) -> Self {
        let floor = first.saturating_sub(SPAN / 2) / WORD * WORD;
        Self { floor, seen: VecDeque::new() }
    }

    /// Records a number. Returns whether it was new. A number below the floor is never new.
    pub(super) fn take(&mut self, number: u64) -> bool {
        if number < self.floor {
            return false;
        }
        if number - self.floor >= SPAN {
            self.raise_floor((number - SPAN) / WORD * WORD + WORD);
        }
        let word = usize::try_from((number - self.floor) / WORD).unwrap_or(usize::MAX);
        let bit = 1 << (number % WORD);
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let is_new = self.seen.get(word).is_some_and(|bits| bits & bit == 0);
        if let Some(bits) = self.seen.get_mut(word) {
            *bits |= bit;
        }
        while self.seen.front() == Some(&u64::MAX) && self.floor < u64::MAX - WORD {
            self.raise_floor(self.floor + WORD);
        }
        is_new
    }

    fn raise_floor(&mut self, floor: u64) {
        let words = usize::try_from((floor - self.floor) / WORD).unwrap_or(usize::MAX);
        self.seen.drain(..words.min(self.seen.len()));
        self.floor = floor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_number_is_taken_once() {
        let mut window = Window::starting_near(7);
        for number in [7, 0, 1, 63, 64, SPAN - 1] {
            assert!(window.take(number), "{number}");
            assert!(!window.take(number), "{number}");
        }
    }

    #[test]
    fn a_number_that_too_many_others_overtook_counts_as_seen() {
        let mut window = Window::starting_near(0);
        assert!(window.take(10 * SPAN));
        assert!(!window.take(9 * SPAN - WORD));
        assert!(window.take(9 * SPAN + WORD));
    }

    #[test]
    fn the_largest_number_there_is_breaks_nothing() {
        let mut window = Window::starting_near(5);
        assert!(window.take(u64::MAX));
        assert!(!window.take(u64::MAX));
        assert!(!window.take(5));
    }

    #[test]
    fn a_caller_whose_calls_come_in_order_costs_one_word() {
        let mut window = Window::starting_near(0);
        for number in 0..100_000 {
            assert!(window.take(number));
            assert!(window.seen.len() <= 1);
        }
    }

    proptest! {
        /// Compares the window with a set of all numbers: no number is accepted twice, and all near the newest are accepted.
        #[test]
        fn nothing_is_taken_twice(numbers in proptest::collection::vec(0..3 * SPAN, 1..400)) {
            let mut window = Window::starting_near(numbers[0]);
            let (mut taken, mut newest) = (HashSet::new(), numbers[0]);
            for number in numbers {
                let took = window.take(number);
                prop_assert!(!(took && taken.contains(&number)));
                if newest.saturating_sub(number) < SPAN / 2 - WORD && !taken.contains(&number) {
                    prop_assert!(took, "{number} behind {newest}");
                }
                taken.insert(number);
                newest = newest.max(number);
                prop_assert!(window.seen.len() as u64 <= SPAN / WORD);
            }
        }
    }
}

//! The changes of counters that a transaction has not written yet.

use std::collections::BTreeMap;

use super::{Amount, Counter};

/// The changes of counters that a transaction has not written yet: those that belong to it, and above them those since its
/// savepoint, which may still be undone.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    kept: Changes,
    since_savepoint: Changes,
}

/// Changes, in the order in which they are written.
type Changes = BTreeMap<Counter, Amount>;

impl Deltas {
    /// Adds an amount to a counter.
    pub(crate) fn add(&mut self, counter: Counter, amount: Amount) {
        add(&mut self.since_savepoint, counter, amount);
    }

    /// Takes an amount off a counter.
    pub(crate) fn take_off(&mut self, counter: Counter, amount: Amount) {
        self.add(counter, -amount);
    }

    /// The change of one counter.
    pub(crate) fn of(&self, counter: Counter) -> Amount {
        [&self.kept, &self.since_savepoint]
            .iter()
            .filter_map(|changes| changes.get(&counter))
            .fold(Amount::default(), |sum, change| sum + *change)
    }

    /// The change of one counter since the savepoint: what the mutation that is running adds.
    pub(crate) fn since_savepoint(&self, counter: Counter) -> Amount {
        self.since_savepoint.get(&counter).copied().unwrap_or_default()
    }

    /// The changes of all counters; a counter may come twice.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Counter, Amount)> {
        self.kept.iter().chain(&self.since_savepoint).map(|(counter, change)| (*counter, *change))
    }

    /// Makes the changes since the savepoint a part of the transaction.
    pub(in crate::store) fn keep(&mut self) {
        for (counter, change) in std::mem::take(&mut self.since_savepoint) {
            add(&mut self.kept, counter, change);
        }
    }

    /// Drops the changes since the savepoint.
    pub(in crate::store) fn undo(&mut self) {
        self.since_savepoint.clear();
    }

    /// Drops all changes.
    pub(in crate::store) fn clear(&mut self) {
        self.kept.clear();
        self.since_savepoint.clear();
    }

    /// Takes all changes out, each counter once and in their order.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (Counter, Amount)> + use<> {
        self.keep();
        std::mem::take(&mut self.kept).into_iter()
    }
}

/// Adds to a map. A counter whose changes cancel out is not in it: it need not be written.
fn add(changes: &mut Changes, counter: Counter, amount: Amount) {
    let change = changes.entry(counter).or_default();
    *change = *change + amount;
    if *change == Amount::default() {
        changes.remove(&counter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cancels_out_is_not_written_and_what_is_undone_is_forgotten() {
        let repairs = Counter::Repairs { live: 1, replication: 3 };
        let mut deltas = Deltas::default();
        deltas.add(Counter::Blocks, Amount::of(5, 0));
        deltas.keep();
        deltas.add(repairs, Amount::of(1, 0));
        deltas.take_off(Counter::Blocks, Amount::of(2, 0));
        assert_eq!(deltas.of(Counter::Blocks), Amount::of(3, 0));
        deltas.undo();
        assert_eq!((deltas.of(Counter::Blocks), deltas.of(repairs)), (Amount::of(5, 0), Amount::default()));
        deltas.add(repairs, Amount::of(1, 0));
        deltas.take_off(Counter::Blocks, Amount::of(5, 0));
        assert_eq!(deltas.take().collect::<Vec<_>>(), [(repairs, Amount::of(1, 0))]);
        assert_eq!(deltas.all().count(), 0);
    }
}

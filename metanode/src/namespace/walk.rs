//! The walk of a listing: which rows to read next, and how they make up a page.
//!
//! A listing costs as much as its page has entries. Without a delimiter it is one range of the index. With one, a
//! roll-up stands for any number of keys, so the walk seeks to the end of these keys after each roll-up. Rows come in
//! batches. A batch grows while at least half of its rows make entries; otherwise it shrinks to the number that did.
//! The rows read are therefore at most a small multiple of the entries, wherever the keys lie, and flat listings still
//! take few statements.
//!
//! This module does no I/O: the caller reads what [`next_fetch`](Walk::next_fetch) returns, and passes the rows to
//! [`take`](Walk::take).

/// A row of a listing.
pub(super) trait Listed {
    /// The key under which the row is listed.
    fn key(&self) -> &str;

    /// The first place after this row.
    fn behind(&self) -> Place;
}

/// A place in the order of a listing: after the row of this key and id, and before all rows that follow it. Without an
/// id, before the first row of this key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The bytes of a key, or of the beginning of one.
    pub(super) key: Vec<u8>,
    /// The bytes of an id; empty bytes are before all ids.
    pub(super) id: Vec<u8>,
}

impl Place {
    /// The place before this key.
    pub(super) fn at(key: &str) -> Self {
        Self { key: key.as_bytes().to_vec(), id: Vec::new() }
    }

    /// The place after this key. The successor of a byte string is the string with a zero byte appended.
    pub(super) fn behind_key(key: &str) -> Self {
        let mut place = Self::at(key);
        place.key.push(0);
        place
    }

    /// The place after all keys with this prefix.
    pub(super) fn behind_prefix(prefix: &str) -> Self {
        Self { key: end_of_prefix(prefix.as_bytes()), id: Vec::new() }
    }
}

/// A byte above all bytes of keys: UTF-8 has no byte 0xFF (RFC 3629, section 3).
const ABOVE_ALL: u8 = 0xff;

/// The smallest byte string above all that begin with this prefix.
pub(super) fn end_of_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < ABOVE_ALL {
            end.push(last + 1);
            return end;
        }
    }
    vec![ABOVE_ALL]
}

/// The next rows to read: the first `limit` from `from` on with keys below `before`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) from: Place,
    pub(super) before: Vec<u8>,
    pub(super) limit: u32,
}

/// An entry of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry<T> {
    Row(T),
    CommonPrefix(String),
}

/// The cost of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Seeks in the index; each is one statement.
    pub(super) seeks: u64,
    /// Rows read.
    pub(super) rows: u64,
}

/// A walk that makes one page of a listing.
#[derive(Clone, Debug)]
pub(super) struct Walk<T> {
    prefix: String,
    delimiter: Option<String>,
    max: usize,
    entries: Vec<Entry<T>>,
    truncated: bool,
    /// Where the next batch begins; `None` when the walk is over.
    next: Option<Place>,
    /// Rows in the next batch.
    batch: usize,
    /// Rows that the last fetch asked for.
    asked: usize,
    cost: Cost,
}

impl<T: Listed> Walk<T> {
    /// A walk of the keys with this prefix after `after`, for a page of `max` entries.
    pub(super) fn new(prefix: String, delimiter: Option<String>, after: Option<Place>, max: u32) -> Self {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let first = Place::at(&prefix);
        let next = after.map_or(first.clone(), |after| after.max(first));
        // One row more than entries shows whether there are more.
        let batch = if delimiter.is_some() { 1 } else { max.saturating_add(1) };
        Self {
            prefix,
            delimiter,
            max,
            entries: Vec::new(),
            truncated: false,
            next: (max > 0).then_some(next),
            batch,
            asked: 0,
            cost: Cost::default(),
        }
    }

    /// What to read next; `None` when the page is complete.
    pub(super) fn next_fetch(&mut self) -> Option<Fetch> {
        let from = self.next.clone()?;
        let before = end_of_prefix(self.prefix.as_bytes());
        if from.key >= before {
            return None;
        }
        self.asked = self.batch.min(self.max - self.entries.len() + 1);
        self.cost.seeks += 1;
        Some(Fetch { from, before, limit: u32::try_from(self.asked).unwrap_or(u32::MAX) })
    }

    /// Takes the rows of [`next_fetch`](Self::next_fetch).
    pub(super) fn take(&mut self, rows: Vec<T>) {
        self.cost.rows += rows.len() as u64;
        let exhausted = rows.len() < self.asked;
        let before = self.entries.len();
        let mut behind = None;
        for row in rows {
            match self.last_prefix() {
                Some(prefix) if row.key().starts_with(prefix) => {
                    behind = Some(Place::behind_prefix(prefix));
                    continue;
                }
                _ => {}
            }
            if self.entries.len() == self.max {
                self.truncated = true;
                self.next = None;
                return;
            }
            match self.roll_up(row.key()) {
                Some(prefix) => {
                    behind = Some(Place::behind_prefix(&prefix));
                    self.entries.push(Entry::CommonPrefix(prefix));
                }
                None => {
                    behind = Some(row.behind());
                    self.entries.push(Entry::Row(row));
                }
            }
        }
        let useful = self.entries.len() - before;
        self.batch = if useful * 2 >= self.asked { self.asked * 2 } else { useful.max(1) };
        self.next = if exhausted { None } else { behind };
    }

    /// The entries of the page, whether there are more after them, and the cost.
    pub(super) fn finish(self) -> (Vec<Entry<T>>, bool, Cost) {
        (self.entries, self.truncated, self.cost)
    }

    fn last_prefix(&self) -> Option<&str> {
        match self.entries.last() {
            Some(Entry::CommonPrefix(prefix)) => Some(prefix),
            Some(Entry::Row(_)) | None => None,
        }
    }

    /// The common prefix of a key: the key up to and with the first delimiter after the listing's prefix.
    fn roll_up(&self, key: &str) -> Option<String> {
        let delimiter = self.delimiter.as_deref()?;
        let rest = key.strip_prefix(&self.prefix)?;
        let place = rest.find(delimiter)?;
        Some(key[..self.prefix.len() + place + delimiter.len()].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    impl Listed for String {
        fn key(&self) -> &str {
            self
        }
        fn behind(&self) -> Place {
            Place::behind_key(self)
        }
    }

    fn run(
        keys: &BTreeSet<String>,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<Place>,
        max: u32,
    ) -> (Vec<Entry<String>>, bool, Cost) {
        let mut walk = Walk::new(prefix.to_owned(), delimiter.map(str::to_owned), after, max);
        while let Some(fetch) = walk.next_fetch() {
            let rows = keys
                .iter()
                .filter(|key| key.as_bytes() >= &fetch.from.key[..] && key.as_bytes() < &fetch.before[..])
                .take(fetch.limit as usize)
                .cloned()
                .collect();
            walk.take(rows);
        }
        walk.finish()
    }

    /// The plain definition of a listing: all keys, rolled up, without repetitions.
    fn all_entries(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<Entry<String>> {
        let mut entries = Vec::new();
        for key in keys.iter().filter(|key| key.starts_with(prefix)) {
            let rest = &key[prefix.len()..];
            let entry =
                match delimiter.and_then(|delimiter| rest.split_once(delimiter).map(|r| (r.0, delimiter))) {
                    Some((head, delimiter)) => Entry::CommonPrefix(format!("{prefix}{head}{delimiter}")),
                    None => Entry::Row(key.clone()),
                };
            if entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
        entries
    }

    fn mark(entry: &Entry<String>) -> Place {
        match entry {
            Entry::Row(key) => Place::behind_key(key),
            Entry::CommonPrefix(prefix) => Place::behind_prefix(prefix),
        }
    }

    proptest! {
        #[test]
        fn pages_joined_are_the_listing_and_each_costs_what_is_on_it(
            keys in proptest::collection::btree_set("[ab/é\u{10ffff}]{1,6}", 0..60),
            prefix in "[ab/é\u{10ffff}]{0,2}",
            delimiter in proptest::option::of("(/|é|//|b/|\u{10ffff}|a)"),
            max in 1u32..8,
        ) {
            let wanted = all_entries(&keys, &prefix, delimiter.as_deref());
            let mut listed = Vec::new();
            let mut after = None;
            loop {
                let (page, truncated, cost) = run(&keys, &prefix, delimiter.as_deref(), after, max);
                prop_assert!(page.len() <= max as usize);
                prop_assert!(cost.rows <= 4 * page.len() as u64 + 2, "{cost:?} for {} entries", page.len());
                prop_assert!(cost.seeks <= page.len() as u64 + 2);
                after = page.last().map(mark);
                listed.extend(page);
                prop_assert_eq!(truncated, listed.len() < wanted.len());
                if !truncated {
                    break;
                }
            }
            prop_assert_eq!(listed, wanted);
        }
    }

    #[test]
    fn a_flat_listing_with_a_delimiter_takes_few_statements() {
        let keys: BTreeSet<_> = (0..1500).map(|n| format!("{n:05}")).collect();
        let (page, truncated, cost) = run(&keys, "", Some("/"), None, 1000);
        assert_eq!((page.len(), truncated), (1000, true));
        assert!(cost.seeks <= 11, "{cost:?}");
        assert_eq!(cost.rows, 1001);
    }

    #[test]
    fn a_page_of_nothing_reads_nothing() {
        let keys = BTreeSet::from(["a".to_owned()]);
        assert_eq!(run(&keys, "", None, None, 0), (Vec::new(), false, Cost::default()));
        assert_eq!(run(&keys, "", None, Some(Place::behind_prefix("")), 5).2, Cost::default());
    }

    #[test]
    fn the_end_of_a_prefix_is_the_smallest_string_after_all_that_begin_with_it() {
        assert_eq!(end_of_prefix(b"a/"), b"a0");
        assert_eq!(end_of_prefix(b"a\xff\xff"), b"b");
        assert_eq!(end_of_prefix(b"\xff"), b"\xff");
        assert_eq!(end_of_prefix(b""), b"\xff");
    }
}

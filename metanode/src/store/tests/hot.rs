//! What is kept of look-ups is what the database has.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::hot::{Hot, Known, Touched};
use super::*;
use crate::store::objects::StoredVersion;
use crate::store::{blocks, buckets, lists, objects};

/// Compares all that is kept with the database, through the connection of the writer, after its commit.
pub(in crate::store) async fn check(hot: &Hot, connection: &mut Connection) {
    for ((bucket, key), kept) in hot.versions().list() {
        let found = objects::find_newest(connection, bucket, &key).await.unwrap();
        assert_eq!(*kept, found, "what is kept of {key}");
    }
    for (list, kept) in hot.lists().list() {
        let found = lists::read_entries(connection, list, 0, u64::MAX, u32::MAX).await.unwrap();
        assert!(kept.as_ref().as_ref().is_none_or(|kept| *kept == found), "what is kept of {list:?}");
    }
    for (block, kept) in hot.blocks().list() {
        assert_eq!(*kept, blocks::find(connection, block).await.unwrap(), "what is kept of {block}");
    }
    for (name, kept) in hot.buckets().list() {
        assert_eq!(*kept, buckets::look_up(connection, &name).await.unwrap(), "what is kept of {name}");
    }
}

const BYTES: usize = 100;

fn key(number: u8) -> (buckets::BucketId, Box<str>) {
    (buckets::BucketId(1), format!("key {number}").into())
}

fn touching(numbers: &[u8]) -> Touched {
    let mut touched = Touched::default();
    for number in numbers {
        let (bucket, key) = key(*number);
        touched.version(bucket, &key);
    }
    touched
}

#[derive(Clone, Debug)]
enum Step {
    /// A look-up begins.
    LookUp(u8),
    /// It reads the database.
    Read(usize),
    /// It ends.
    End(usize),
    /// The writer is about to commit new versions of these keys.
    Change(Vec<u8>),
    /// It is about to change a bucket.
    ChangeBucket,
    /// What it commits is what the next look-ups read.
    Commit,
    /// The commit is done.
    Done,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3u8).prop_map(Step::LookUp),
        4 => (0..8usize).prop_map(Step::Read),
        4 => (0..8usize).prop_map(Step::End),
        1 => proptest::collection::vec(0..3u8, 1..3).prop_map(Step::Change),
        1 => Just(Step::ChangeBucket),
        2 => Just(Step::Commit),
        2 => Just(Step::Done),
    ];
    proptest::collection::vec(step, 1..80)
}

/// The version of a key is the number of the commit that wrote it.
fn version(number: u64) -> Option<StoredVersion> {
    (number > 0).then(|| StoredVersion {
        object: ObjectVersion {
            key: String::new(),
            version: VersionId(uuid::Uuid::from_u128(u128::from(number))),
            length: number,
            etag: String::new(),
            modified_at: Timestamp(number),
            attributes: Default::default(),
            tags: Default::default(),
            part_count: 0,
            sequence: number,
            is_null: false,
            is_versioned: false,
            content: Content::Empty,
            checksum: 0,
        },
        is_delete_marker: false,
    })
}

proptest! {
    /// However look-ups and one writer interleave: a look-up that begins sees all that was committed before, and never less than an
    /// earlier one saw.
    #[test]
    fn nobody_sees_an_older_state_than_one_that_was_seen(steps in steps()) {
        let hot = Hot::default();
        let mut database = BTreeMap::<u8, u64>::new();
        let mut seen = BTreeMap::<u8, u64>::new();
        // Look-ups under way: the key, the ticket, and what was read.
        let mut under_way = Vec::new();
        let mut change = None;
        let mut commits = 0;
        for step in steps {
            match step {
                Step::LookUp(number) => match hot.versions().get(&key(number)) {
                    Known::Value(value) => {
                        let value = value.as_ref().as_ref().map_or(0, |found| found.object.sequence);
                        let before = seen.entry(number).or_default();
                        prop_assert!(value >= *before, "{value} after {before}");
                        *before = value;
                        prop_assert_eq!(value, database.get(&number).copied().unwrap_or_default());
                    }
                    Known::Nothing(ticket) => under_way.push((number, ticket, None)),
                },
                Step::Read(place) => {
                    if let Some((number, _, read @ None)) = under_way.get_mut(place) {
                        let value = database.get(number).copied().unwrap_or_default();
                        seen.insert(*number, value);
                        *read = Some(value);
                    }
                }
                Step::End(place) => {
                    if under_way.get(place).is_some_and(|(_, _, read)| read.is_some()) {
                        let (number, ticket, read) = under_way.swap_remove(place);
                        hot.versions().put(ticket, key(number), version(read.unwrap()).into(), BYTES);
                    }
                }
                Step::Change(numbers) if change.is_none() => {
                    change = Some((hot.change(touching(&numbers)), numbers, false));
                }
                Step::ChangeBucket if change.is_none() => {
                    let mut touched = Touched::default();
                    touched.buckets();
                    change = Some((hot.change(touched), vec![0, 1, 2], false));
                }
                Step::Commit => {
                    if let Some((_, numbers, is_committed @ false)) = &mut change {
                        commits += 1;
                        *is_committed = true;
                        database.extend(numbers.iter().map(|number| (*number, commits)));
                    }
                }
                Step::Done => change = change.filter(|(_, _, is_committed)| !is_committed),
                Step::Change(_) | Step::ChangeBucket => {}
            }
        }
    }

    /// The memory is bounded, whatever is kept.
    #[test]
    fn what_is_kept_is_bounded(sizes in proptest::collection::vec(1..200_000usize, 1..300)) {
        let hot = Hot::default();
        for (number, bytes) in sizes.iter().enumerate() {
            let asked = (buckets::BucketId(1), number.to_string().into());
            let Known::Nothing(ticket) = hot.versions().get(&asked) else { panic!("it is not known yet") };
            hot.versions().put(ticket, asked, version(1).into(), *bytes);
        }
        let kept = hot.versions().list();
        let bytes: usize = kept.iter().map(|((_, key), _)| sizes[key.parse::<usize>().unwrap()]).sum();
        prop_assert!(bytes <= 8 << 20, "{bytes}");
        prop_assert_eq!(hot.versions().bytes(), bytes);
    }
}

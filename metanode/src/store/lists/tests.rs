//! Lists against a model in which each content is the sequence of its bytes: the block and the offset of each.

use cairn_protocol::env::{Env, Timestamp};
use cairn_protocol::id::{BlockId, PartId};
use cairn_protocol::metadata::{Content, EntryTarget, PartInfo};
use futures_util::FutureExt;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::store::counters::{Amount, Counter};
use crate::store::parts::StoredPart;
use crate::store::{Store, retired, sql};

type Bytes = Vec<(BlockId, u64)>;

#[derive(Clone, Debug)]
enum Step {
    /// New blocks of these lengths.
    Write(Vec<u64>),
    /// A range of a content, by index and by shares of its length.
    Slice { of: usize, from: u8, to: u8 },
    /// A list of several contents, as a completed upload makes one. They are used up.
    Join(Vec<usize>),
    /// Gives a content up.
    Drop(usize),
    /// A step of the collection.
    Collect(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => proptest::collection::vec(1u64..6, 0..4).prop_map(Step::Write),
        6 => (any::<usize>(), any::<u8>(), any::<u8>()).prop_map(|(of, from, to)| Step::Slice { of, from, to }),
        4 => proptest::collection::vec(any::<usize>(), 1..5).prop_map(Step::Join),
        2 => any::<usize>().prop_map(Step::Drop),
        2 => (1u32..6).prop_map(Step::Collect),
    ]
}

struct World {
    store: Store,
    env: Env,
    /// Each content with its bytes. It has one reference here, which stands for the row of a version or part.
    contents: Vec<(Content, Bytes)>,
    blocks: u128,
}

impl World {
    async fn apply(&mut self, step: Step) {
        match step {
            Step::Write(lengths) => self.write(lengths).await,
            Step::Slice { of, from, to } if !self.contents.is_empty() => {
                let (content, bytes) = self.contents[of % self.contents.len()].clone();
                let at = |share: u8| bytes.len() * usize::from(share) / 255;
                let (start, end) = (at(from.min(to)), at(from.max(to)));
                let length = bytes.len() as u64;
                let range = (start as u64, end as u64);
                let made = self.store.write(move |tx| {
                    async move { slice(tx, (content, length), range.0, range.1).await }.boxed()
                });
                let made = made.await.unwrap();
                self.contents.push((made, bytes[start..end].to_vec()));
            }
            Step::Join(of) if !self.contents.is_empty() => self.join(of).await,
            Step::Drop(of) if !self.contents.is_empty() => {
                let (content, bytes) = self.contents.swap_remove(of % self.contents.len());
                self.give_up(content, bytes.len() as u64).await;
            }
            Step::Slice { .. } | Step::Join(_) | Step::Drop(_) => {}
            Step::Collect(work) => self.collect(work).await,
        }
    }

    async fn write(&mut self, lengths: Vec<u64>) {
        let mut entries = Vec::new();
        let mut bytes = Vec::new();
        for length in lengths {
            self.blocks += 1;
            let block = BlockId(Uuid::from_u128(self.blocks));
            entries.push(NewEntry { target: EntryTarget::Block(block), start: 0, length });
            bytes.extend((0..length).map(|offset| (block, offset)));
        }
        let content = self
            .store
            .write(move |tx| {
                async move {
                    for entry in &entries {
                        let EntryTarget::Block(block) = entry.target else { continue };
                        sql::query("INSERT INTO blocks (block_id, length, crc32c, replication, refs) VALUES ($1, $2, 0, 0, 1)")
                            .bind(&block.as_bytes()[..])
                            .bind(to_number(entry.length))
                            .execute(&mut *tx)
                            .await?;
                        tx.deltas().add(Counter::Blocks, Amount::of(1, 0));
                    }
                    Ok::<_, StoreError>(match entries[..] {
                        [] => Content::Empty,
                        [NewEntry { target: EntryTarget::Block(block), .. }] => Content::whole(block),
                        _ => Content::List { list: create(tx, &entries).await? },
                    })
                }
                .boxed()
            })
            .await
            .unwrap();
        self.contents.push((content, bytes));
    }

    async fn join(&mut self, of: Vec<usize>) {
        let mut taken: Vec<(Content, Bytes)> = Vec::new();
        for index in of {
            if self.contents.is_empty() {
                break;
            }
            let index = index % self.contents.len();
            // An object is no part: only what is low enough is joined, as `slice` makes it. A part without bytes has no list.
            if self.contents[index].1.is_empty() && self.contents[index].0 != Content::Empty {
                continue;
            }
            if let Some(list) = self.contents[index].0.list() {
                let height = find(&mut self.store.read().await.unwrap(), list).await.unwrap().unwrap().height;
                if height > PART_HEIGHT_MAX {
                    continue;
                }
            }
            taken.push(self.contents.swap_remove(index));
        }
        let entries: Vec<_> =
            taken.iter().filter_map(|(content, bytes)| NewEntry::of(*content, bytes.len() as u64)).collect();
        let list =
            self.store.write(move |tx| async move { create(tx, &entries).await }.boxed()).await.unwrap();
        let bytes = taken.into_iter().flat_map(|(_, bytes)| bytes).collect();
        self.contents.push((Content::List { list }, bytes));
    }

    async fn give_up(&self, content: Content, length: u64) {
        let part = PartId(self.env.uuid_v7());
        let info = PartInfo {
            number: 1,
            part,
            length,
            etag: String::new(),
            checksum: None,
            modified_at: Timestamp(0),
        };
        let part = StoredPart { info, content, user: None };
        self.store
            .write(move |tx| async move { retired::insert_part(tx, &part, Timestamp(1)).await }.boxed())
            .await
            .unwrap();
    }

    async fn collect(&self, work: u32) {
        self.store
            .write(move |tx| {
                async move {
                    let share = retired::share(tx, Timestamp(2), work).await?;
                    retired::remove(tx, &share).await?;
                    remove_unreferenced(tx, work).await?;
                    crate::store::blocks::drop_unreferenced(tx, Timestamp(3)).await?;
                    Ok::<_, StoreError>(())
                }
                .boxed()
            })
            .await
            .unwrap();
    }

    /// Rows of blocks, lists and what was retired.
    async fn rows_left(&self) -> i64 {
        let mut reader = self.store.read().await.unwrap();
        let left = sql::query(
            "SELECT (SELECT COUNT(*) FROM blocks) + (SELECT COUNT(*) FROM extent_lists)
                  + (SELECT COUNT(*) FROM list_entries) + (SELECT COUNT(*) FROM retired) AS rows",
        );
        left.fetch_one(&mut reader).await.unwrap().get("rows")
    }

    /// Each content has its bytes, whole and in pieces.
    async fn check(&self) {
        let mut reader = self.store.read().await.unwrap();
        for (content, wanted) in &self.contents {
            let length = wanted.len() as u64;
            let found = extents(&mut reader, (*content, length), 0, length, u32::MAX).await.unwrap();
            let mut bytes: Bytes = Vec::new();
            for FoundExtent { extent, path } in &found {
                assert_eq!(extent.object_offset, bytes.len() as u64);
                if let Some(list) = content.list() {
                    assert_eq!(cairn_protocol::metadata::resolve_path(list, path), Some(*extent));
                }
                bytes.extend(
                    (extent.block_offset..extent.block_offset + extent.length).map(|at| (extent.block, at)),
                );
            }
            assert_eq!(&bytes, wanted);
            if length > 0 {
                let (start, end) = (length / 3, length / 3 + 1);
                let one = extents(&mut reader, (*content, length), start, end, 9).await.unwrap();
                let [FoundExtent { extent, .. }] = &one[..] else { panic!("{one:?}") };
                let at = extent.block_offset + start - extent.object_offset;
                assert_eq!((extent.block, at), wanted[start as usize]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]
    #[test]
    fn a_list_that_is_kept_gives_the_entries_that_the_statement_gives(
        lengths in proptest::collection::vec(1u64..5, 1..9),
        ranges in proptest::collection::vec((0u64..40, 0u64..40, 0u32..9), 20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let env = Env::system();
            let store = Store::open(&directory.path().join("metanode.db"), &env).await.unwrap();
            let mut world = World { store, env, contents: Vec::new(), blocks: 0 };
            world.write(lengths.clone()).await;
            world.write(lengths).await;
            world.join(vec![0, 0]).await;
            let list = world.contents[0].0.list().unwrap();
            let mut reader = world.store.read_in_background().await.unwrap();
            let all = read_entries(&mut reader, list, 0, u64::MAX, u32::MAX).await.unwrap();
            for (start, end, max) in ranges {
                let found = read_entries(&mut reader, list, start, end, max).await.unwrap();
                assert_eq!(overlapping(&all, start, end, max), found, "{start}..{end}, {max}");
            }
        });
    }

    #[test]
    fn contents_have_their_bytes_and_nothing_else_is_kept(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let env = Env::system();
            let store = Store::open(&directory.path().join("metanode.db"), &env).await.unwrap();
            let mut world = World { store, env, contents: Vec::new(), blocks: 0 };
            for step in steps {
                world.apply(step).await;
            }
            world.check().await;
            // When all are given up, nothing is left.
            for (content, bytes) in std::mem::take(&mut world.contents) {
                world.give_up(content, bytes.len() as u64).await;
            }
            // A step takes ten rows, and each content of a few bytes has a few.
            for _ in 0..600 {
                world.collect(10).await;
                if world.rows_left().await == 0 {
                    return;
                }
            }
            panic!("{} rows are left", world.rows_left().await);
        });
    }
}

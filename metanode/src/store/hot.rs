//! What was looked up a short while ago, in a bounded memory: the newest versions of keys, the entries of extent lists, the replicas
//! of blocks, and buckets.
//!
//! Only the writer changes the database, so it knows what becomes wrong. A function that changes rows notes it in the
//! [`Touched`] of its connection. Before a commit, what it touched is dropped, and until the commit has ended such rows are read from
//! the database and not kept. So nobody sees an older state than one that somebody saw before: not the answer to the change, and
//! not a look-up or a listing that was faster.
//!
//! A look-up that begins before a commit and ends after it may have read either state. It holds a [`Ticket`], and what it read
//! is kept only if nothing of the kind was touched since.
//!
//! **Invariant: what is kept is what the database has.** Tests compare the two after histories of changes (`store/tests/hot.rs`).

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_protocol::id::BlockId;
use lru::LruCache;

use cairn_protocol::metadata::{ExtentEntry, ListId};

use super::rows::{BlockReplicas, BucketId, FoundBucket, StoredVersion};

/// Bytes for the newest versions of keys: some ten thousand keys.
const VERSION_BYTES: usize = 8 << 20;

/// Bytes for the replicas of blocks: as many blocks as there are keys.
const BLOCK_BYTES: usize = 4 << 20;

/// Bytes for extent lists: those of some thousand objects.
const LIST_BYTES: usize = 4 << 20;

/// Bytes for buckets: some thousand.
const BUCKET_BYTES: usize = 1 << 20;

/// A key of a bucket.
pub(super) type Key = (BucketId, Box<str>);

/// What was looked up a short while ago. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Hot(Arc<Kinds>);

#[derive(Debug)]
struct Kinds {
    versions: Kept<Key, Option<StoredVersion>>,
    lists: Kept<ListId, Option<Vec<ExtentEntry>>>,
    blocks: Kept<BlockId, Option<BlockReplicas>>,
    buckets: Kept<Box<str>, Option<FoundBucket>>,
}

impl Default for Kinds {
    fn default() -> Self {
        Self {
            versions: Kept::new(VERSION_BYTES),
            lists: Kept::new(LIST_BYTES),
            blocks: Kept::new(BLOCK_BYTES),
            buckets: Kept::new(BUCKET_BYTES),
        }
    }
}

impl Hot {
    /// Whether a bucket and the newest version of a key are kept.
    pub(super) fn has(&self, bucket: &str, key: &str) -> bool {
        let Known::Value(found) = self.buckets().get(bucket) else { return false };
        let Some(found) = &*found else { return true };
        matches!(self.versions().get(&(found.id, key.into())), Known::Value(_))
    }

    /// The newest version of a key, or that it has none.
    pub(super) fn versions(&self) -> &Kept<Key, Option<StoredVersion>> {
        &self.0.versions
    }

    /// All entries of an extent list; `None` if they are too many. A list never changes, but it can go.
    pub(super) fn lists(&self) -> &Kept<ListId, Option<Vec<ExtentEntry>>> {
        &self.0.lists
    }

    /// The replicas of a block, or that it does not exist.
    pub(super) fn blocks(&self) -> &Kept<BlockId, Option<BlockReplicas>> {
        &self.0.blocks
    }

    /// A bucket, or that no bucket has this name.
    pub(super) fn buckets(&self) -> &Kept<Box<str>, Option<FoundBucket>> {
        &self.0.buckets
    }

    /// Drops what a commit is about to change. Until the returned value is dropped, none of it is kept.
    #[must_use = "changed rows can be kept again when it is dropped"]
    pub(super) fn change(&self, touched: Touched) -> Changing {
        self.begin(&touched);
        Changing { hot: self.clone(), touched }
    }

    fn begin(&self, touched: &Touched) {
        let Kinds { versions, lists, blocks, buckets } = &*self.0;
        if touched.lists {
            lists.begin_all();
        }
        touched.versions.iter().for_each(|key| versions.begin(key));
        touched.blocks.iter().for_each(|block| blocks.begin(block));
        if touched.all_blocks {
            blocks.begin_all();
        }
        if touched.buckets {
            buckets.begin_all();
            versions.begin_all();
        }
    }

    fn end(&self, touched: &Touched) {
        let Kinds { versions, lists, blocks, buckets } = &*self.0;
        if touched.lists {
            lists.end_all();
        }
        touched.versions.iter().for_each(|key| versions.end(key));
        touched.blocks.iter().for_each(|block| blocks.end(block));
        if touched.all_blocks {
            blocks.end_all();
        }
        if touched.buckets {
            buckets.end_all();
            versions.end_all();
        }
    }
}

/// What the open transaction has changed. It may name more than that, never less.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    versions: Vec<Key>,
    blocks: Vec<BlockId>,
    all_blocks: bool,
    lists: bool,
    buckets: bool,
}

impl Touched {
    /// The versions of a key were changed.
    pub(super) fn version(&mut self, bucket: BucketId, key: &str) {
        self.versions.push((bucket, key.into()));
    }

    /// A block or its replicas were changed.
    pub(super) fn block(&mut self, block: BlockId) {
        self.blocks.push(block);
    }

    /// Blocks were changed that are not known one by one.
    pub(super) fn all_blocks(&mut self) {
        self.all_blocks = true;
    }

    /// Lists were removed.
    pub(super) fn lists(&mut self) {
        self.lists = true;
    }

    /// A bucket was changed. The rows of versions are read with the state of their bucket.
    pub(super) fn buckets(&mut self) {
        self.buckets = true;
    }
}

/// A commit that is going on.
pub(super) struct Changing {
    hot: Hot,
    touched: Touched,
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.hot.end(&self.touched);
    }
}

/// Parts of the memory with a lock each.
const SHARDS: usize = 16;

/// Marks of changes in each shard. Keys share them; a key whose mark another one changes is looked up again.
const MARKS: usize = 256;

/// Values by their keys, those that were used last.
#[derive(Debug)]
pub(super) struct Kept<K: Hash + Eq, V> {
    hasher: RandomState,
    shards: [Mutex<Shard<K, V>>; SHARDS],
    /// Upper limit of the bytes in a shard.
    bytes_max: usize,
}

#[derive(Debug)]
struct Shard<K: Hash + Eq, V> {
    values: LruCache<K, (Arc<V>, usize)>,
    bytes: usize,
    marks: Box<[Mark]>,
    /// Changes of everything.
    all: Mark,
}

/// The changes of some keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    /// Commits that are going on.
    changing: u32,
    /// How many began or ended.
    changes: u32,
}

impl Mark {
    fn begin(&mut self) {
        self.changing += 1;
        self.changes = self.changes.wrapping_add(1);
    }

    fn end(&mut self) {
        self.changing -= 1;
        self.changes = self.changes.wrapping_add(1);
    }
}

/// The state of changes when a look-up began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    mark: Mark,
    all: Mark,
}

impl Ticket {
    /// Whether nothing was being changed.
    fn is_quiet(self) -> bool {
        self.mark.changing == 0 && self.all.changing == 0
    }
}

/// What is known of a key.
pub(super) enum Known<V> {
    /// The value.
    Value(Arc<V>),
    /// Nothing. What a look-up finds can be kept with the ticket.
    Nothing(Ticket),
}

impl<K: Hash + Eq, V> Kept<K, V> {
    fn new(bytes_max: usize) -> Self {
        let shard = |_| {
            let marks = vec![Mark::default(); MARKS].into();
            Mutex::new(Shard { values: LruCache::unbounded(), bytes: 0, marks, all: Mark::default() })
        };
        Self { hasher: RandomState::new(), shards: std::array::from_fn(shard), bytes_max: bytes_max / SHARDS }
    }

    /// The shard of a key, and the place of its mark.
    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> (MutexGuard<'_, Shard<K, V>>, usize) {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[hash as usize % SHARDS];
        (shard.lock().unwrap_or_else(PoisonError::into_inner), (hash >> 32) as usize % MARKS)
    }

    /// What is known of a key.
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Known<V>
    where
        K: Borrow<Q>,
    {
        let (mut shard, mark) = self.shard(key);
        match shard.values.get(key) {
            Some((value, _)) => Known::Value(value.clone()),
            None => Known::Nothing(Ticket { mark: shard.marks[mark], all: shard.all }),
        }
    }

    /// Keeps what a look-up found that began with this ticket. `bytes` is about what the value takes.
    pub(super) fn put(&self, ticket: Ticket, key: K, value: Arc<V>, bytes: usize) {
        if !ticket.is_quiet() || bytes > self.bytes_max {
            return;
        }
        let (mut shard, mark) = self.shard(&key);
        if ticket != (Ticket { mark: shard.marks[mark], all: shard.all }) {
            return;
        }
        shard.bytes += bytes;
        if let Some((_, (_, before))) = shard.values.push(key, (value, bytes)) {
            shard.bytes -= before;
        }
        while shard.bytes > self.bytes_max
            && let Some((_, (_, oldest))) = shard.values.pop_lru()
        {
            shard.bytes -= oldest;
        }
    }

    fn begin(&self, key: &K) {
        let (mut shard, mark) = self.shard(key);
        shard.marks[mark].begin();
        if let Some((_, bytes)) = shard.values.pop(key) {
            shard.bytes -= bytes;
        }
    }

    fn end(&self, key: &K) {
        let (mut shard, mark) = self.shard(key);
        shard.marks[mark].end();
    }

    fn begin_all(&self) {
        for mut shard in self.all() {
            shard.all.begin();
            shard.values.clear();
            shard.bytes = 0;
        }
    }

    fn end_all(&self) {
        self.all().for_each(|mut shard| shard.all.end());
    }

    fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Shard<K, V>>> {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The bytes of all that is kept.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.all().map(|shard| shard.bytes).sum()
    }

    /// All that is kept.
    #[cfg(test)]
    pub(super) fn list(&self) -> Vec<(K, Arc<V>)>
    where
        K: Clone,
    {
        let list = self.all().flat_map(|shard| {
            shard.values.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect::<Vec<_>>()
        });
        list.collect()
    }
}

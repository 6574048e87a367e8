//! The cache of what decides about access to buckets.
//!
//! It needs no short life: each call that a request makes carries the state of access control that was decided with, and the metanode
//! refuses the call if it is in another one ([`guarded`](super::guarded)); and a request is refused only on fresh data. So the
//! staleness of access is 0, in both directions. The limits of age and size bound memory, and how long a gateway goes on
//! asking for a bucket that nobody uses any more.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cairn_protocol::env::Env;
use cairn_protocol::metadata::{BucketRef, Metadata, MetadataError};
use lru::LruCache;

use super::bucket::BucketAccess;

/// How long a bucket is used without asking again.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// Upper limit of buckets, of a kilobyte each without a policy.
const BUCKETS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Upper limit of the documents of all cached buckets, in bytes. Parsed, a policy takes some five times as much. It is room for 400
/// policies of the largest size.
const WEIGHT_MAX: usize = 8 << 20;

/// The cache.
pub(super) struct Buckets {
    metadata: Arc<dyn Metadata>,
    env: Env,
    known: Mutex<Known>,
}

struct Known {
    buckets: LruCache<String, Entry>,
    weight: usize,
}

struct Entry {
    bucket: Arc<BucketAccess>,
    /// When the metanode returned it, on the monotonic clock.
    told_at: Duration,
}

impl Buckets {
    /// An empty cache of the buckets of this metanode.
    pub(super) fn new(metadata: Arc<dyn Metadata>, env: Env) -> Self {
        Self { metadata, env, known: Mutex::new(Known { buckets: LruCache::new(BUCKETS_MAX), weight: 0 }) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic while the lock was held left every entry complete, so a poisoned lock is safe to use.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bucket, from the cache if it is there.
    ///
    /// # Errors
    /// `NoSuchBucket`, or the metanode's.
    pub(super) async fn get(&self, name: &str) -> Result<Arc<BucketAccess>, MetadataError> {
        let now = self.env.monotonic();
        let cached =
            self.known().buckets.get(name).and_then(|entry| {
                (now.saturating_sub(entry.told_at) < FRESH_FOR).then(|| entry.bucket.clone())
            });
        match cached {
            Some(bucket) => Ok(bucket),
            None => self.fresh(name).await,
        }
    }

    /// A bucket as it is now.
    ///
    /// # Errors
    /// `NoSuchBucket`, or the metanode's.
    pub(super) async fn fresh(&self, name: &str) -> Result<Arc<BucketAccess>, MetadataError> {
        let told_at = self.env.monotonic();
        let found = self.metadata.get_bucket_configurations(BucketRef { bucket: name.to_owned() }).await;
        if let Err(MetadataError::NoSuchBucket { .. }) = &found {
            self.known().remove(name);
        }
        let bucket = Arc::new(BucketAccess::new(found?));
        self.known().put(name, Entry { bucket: bucket.clone(), told_at });
        Ok(bucket)
    }

    /// Drops a bucket from the cache, because this gateway has changed it.
    pub(super) fn forget(&self, name: &str) {
        self.known().remove(name);
    }
}

impl Known {
    fn put(&mut self, name: &str, entry: Entry) {
        self.weight += entry.bucket.weight;
        if let Some((_, pushed_out)) = self.buckets.push(name.to_owned(), entry) {
            self.weight -= pushed_out.bucket.weight;
        }
        while self.weight > WEIGHT_MAX {
            let Some((_, oldest)) = self.buckets.pop_lru() else { break };
            self.weight -= oldest.bucket.weight;
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.buckets.pop(name) {
            self.weight -= entry.bucket.weight;
        }
    }
}

//! The rules of buckets, read once for each revision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cairn_lifecycle::RuleSet;
use cairn_protocol::metadata::ConfigurationKind;
use cairn_protocol::warn_self;

use crate::store::buckets::BucketId;
use crate::store::{self, Connection, StoreError};

/// Upper limit of sets of rules that are remembered. The largest set has 1,000 rules, and takes less than a megabyte.
const REMEMBERED_MAX: usize = 64;

/// The rules that were read, by bucket and revision. Another metanode may change the rules of a bucket, so the revision is read in the
/// transaction that asks, and a revision never has other rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    read: Arc<Mutex<HashMap<BucketId, Remembered>>>,
}

/// The rules of a bucket as they were read.
#[derive(Clone, Debug)]
struct Remembered {
    revision: u64,
    set: Arc<RuleSet>,
}

impl Rules {
    /// The rules of a bucket; `None` if it has none. It costs the look-up of the revision.
    pub(super) async fn of(
        &self,
        connection: &mut Connection,
        bucket: BucketId,
    ) -> Result<Option<Arc<RuleSet>>, StoreError> {
        let kind = ConfigurationKind::Lifecycle;
        let revision = store::configurations::revision(connection, bucket, kind).await?;
        self.of_revision(connection, bucket, revision).await
    }

    /// The rules of a bucket, which have this revision now.
    pub(super) async fn of_revision(
        &self,
        connection: &mut Connection,
        bucket: BucketId,
        revision: u64,
    ) -> Result<Option<Arc<RuleSet>>, StoreError> {
        if revision == 0 {
            return Ok(None);
        }
        let known = {
            let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            read.get(&bucket).filter(|known| known.revision == revision).map(|known| known.set.clone())
        };
        if known.is_some() {
            return Ok(known);
        }
        let Some(document) = store::lifecycle::document(connection, bucket).await? else { return Ok(None) };
        // Rules that cannot be read want nothing: what is not certain is not done.
        let set: RuleSet = serde_json::from_str(&document).unwrap_or_else(|error| {
            warn_self!(%error, ?bucket, "the lifecycle rules of a bucket cannot be read, and nothing is done");
            RuleSet::default()
        });
        let set = Arc::new(set);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= REMEMBERED_MAX && !read.contains_key(&bucket) {
            read.clear();
        }
        read.insert(bucket, Remembered { revision, set: set.clone() });
        Ok(Some(set))
    }
}

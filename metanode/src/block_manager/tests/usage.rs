//! What buckets and users use, beside the blocks.

use cairn_protocol::admin::{Admin, FsckRequest, FsckTotals, GetBucketSettings};
use cairn_protocol::metadata::Usage;

use super::support::{FIRST, TestStore, check};
use crate::store::tests::execute;

async fn fsck(store: &TestStore, repair: bool) -> FsckTotals {
    let mut request = FsckRequest { repair, ..check(None) };
    let mut totals = FsckTotals::default();
    loop {
        let page = store.cluster.blocks.fsck(request.clone()).await.unwrap();
        totals += page.totals;
        request.after = page.next;
        if request.after.is_none() {
            return totals;
        }
    }
}

#[tokio::test]
async fn fsck_finds_usage_that_is_wrong_and_counts_anew() {
    let mut store = TestStore::new(1).await;
    store.put(FIRST, "k", &[10, 20]).await;
    let upload = store.begin(FIRST, "u", None).await;
    store.put_part(&upload, 1, &[7]).await;
    assert_eq!(fsck(&store, false).await.wrong_counters, 0);
    execute(&store.cluster.store, "UPDATE bucket_usage SET objects = 0, bytes = bytes + 5").await;
    assert_eq!(fsck(&store, false).await.wrong_counters, 1);
    assert_eq!(fsck(&store, true).await.wrong_counters, 1);
    assert_eq!(fsck(&store, false).await.wrong_counters, 0);
    let request = GetBucketSettings { bucket: FIRST.to_owned() };
    let usage = store.cluster.blocks.bucket_settings(request).await.unwrap().usage;
    assert_eq!(usage, Usage { objects: 2, bytes: 37 });
}

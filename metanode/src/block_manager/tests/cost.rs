//! What an object costs the database: bytes, and inserts into trees (a table, or an index, is one).

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::Row as _;

use super::support::{FIRST, TestStore};

/// Objects whose cost is measured, after as many that make the trees high enough.
const OBJECTS: u64 = 3_000;

/// Cells and bytes of the leaves of each tree.
async fn trees(store: &TestStore) -> BTreeMap<String, (i64, i64)> {
    let mut reader = store.cluster.store.read().await.unwrap();
    let rows = sqlx::query(
        "SELECT name, SUM(CASE WHEN pagetype = 'leaf' THEN ncell ELSE 0 END) AS cells, SUM(pgsize) AS bytes
         FROM dbstat GROUP BY name",
    );
    let rows = rows.fetch_all(&mut *reader).await.unwrap();
    rows.iter().map(|row| (row.get("name"), (row.get("cells"), row.get("bytes")))).collect()
}

async fn put_many(store: &mut TestStore, rng: &mut StdRng) {
    for _ in 0..OBJECTS {
        // 40 bytes, in no order.
        let key = format!("{:032x}/picture", rng.random::<u128>());
        store.put(FIRST, &key, &[1_000]).await;
    }
}

/// 583 bytes and 7 inserts were too many: an object of one copy with a key of 40 bytes is to take 300 and 4 at most.
#[tokio::test]
async fn an_object_takes_few_bytes_and_inserts() {
    let mut store = TestStore::new(1).await;
    let mut rng = StdRng::seed_from_u64(1);
    put_many(&mut store, &mut rng).await;
    let before = trees(&store).await;
    put_many(&mut store, &mut rng).await;
    let after = trees(&store).await;
    let (mut inserts, mut bytes) = (0, 0);
    for (name, (cells, size)) in &after {
        let (cells_before, size_before) = before.get(name).copied().unwrap_or_default();
        inserts += cells - cells_before;
        bytes += size - size_before;
    }
    let objects = i64::try_from(OBJECTS).unwrap();
    // Interior cells and pages that are half full make the numbers uneven, so they are rounded to nearest.
    assert!((inserts + objects / 2) / objects <= 4, "{inserts} inserts: {before:?} {after:?}");
    assert!(bytes / objects <= 300, "{} bytes: {before:?} {after:?}", bytes / objects);
}

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

/// What an object costs, and which trees have grown by how many cells and bytes for all of them.
#[derive(Debug)]
struct Cost {
    bytes: i64,
    inserts: i64,
    #[expect(dead_code, reason = "shown when an assertion fails")]
    trees: Vec<(String, i64, i64)>,
}

/// The cost of an object with `replicas` replicas and a key of 40 bytes.
async fn cost(replicas: usize) -> Cost {
    let mut store = TestStore::new(replicas).await;
    let mut rng = StdRng::seed_from_u64(1);
    put_many(&mut store, &mut rng).await;
    let before = trees(&store).await;
    put_many(&mut store, &mut rng).await;
    let (mut inserts, mut bytes, mut grown) = (0, 0, Vec::new());
    for (name, (cells, size)) in trees(&store).await {
        let (cells_before, size_before) = before.get(&name).copied().unwrap_or_default();
        if size > size_before {
            grown.push((name, cells - cells_before, size - size_before));
        }
        inserts += cells - cells_before;
        bytes += size - size_before;
    }
    let objects = i64::try_from(OBJECTS).unwrap();
    // Interior cells and pages that are half full make the number of inserts uneven, so it is rounded to nearest.
    Cost { bytes: bytes / objects, inserts: (inserts + objects / 2) / objects, trees: grown }
}

/// 583 bytes and 7 inserts were too many: an object of one replica with a key of 40 bytes is to take 300 and 4 at most.
#[tokio::test]
async fn an_object_takes_few_bytes_and_inserts() {
    let cost = cost(1).await;
    assert!(cost.bytes <= 300 && cost.inserts <= 4, "{cost:?}");
}

/// Of three replicas, 759 bytes were too many. At 413 a replica still had the id of its node twice.
#[tokio::test]
async fn further_replicas_take_few_bytes() {
    let cost = cost(3).await;
    assert!(cost.bytes <= 320 && cost.inserts <= 8, "{cost:?}");
}

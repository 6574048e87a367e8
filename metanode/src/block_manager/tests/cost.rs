//! What an object costs the database: bytes, and inserts into trees (a table, or an index, is one).

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::cluster::TestCluster;
use super::support::{FIRST, TestStore};
use crate::block_manager::BlockManagerConfig;
use crate::store::sql;

/// Objects whose cost is measured, after as many that make the trees high enough.
const OBJECTS: u64 = 3_000;

/// Packs of a thousand of the objects.
fn config() -> BlockManagerConfig {
    BlockManagerConfig { pack_size: 1_000_000, ..BlockManagerConfig::default() }
}

/// Cells and bytes of the leaves of each tree.
async fn trees(store: &TestStore) -> BTreeMap<String, (i64, i64)> {
    let mut reader = store.cluster.store.read().await.unwrap();
    let rows = sql::query(
        "SELECT name, SUM(CASE WHEN pagetype = 'leaf' THEN ncell ELSE 0 END) AS cells, SUM(pgsize) AS bytes
         FROM dbstat GROUP BY name",
    );
    let rows = rows.fetch_all(&mut reader).await.unwrap();
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

/// Whether small objects are packed before they are measured.
#[derive(Clone, Copy, PartialEq)]
enum Packed {
    No,
    Yes,
}

/// Puts objects, and lets them be packed and what they were in be deleted.
async fn put_and_settle(store: &mut TestStore, rng: &mut StdRng, packed: Packed) {
    put_many(store, rng).await;
    if packed == Packed::Yes {
        store.cluster.pass(store.cluster.config.pack_age).await;
        store.cluster.pass(store.cluster.config.garbage_grace * 2).await;
    }
}

/// The cost of an object with `replicas` replicas and a key of 40 bytes.
async fn cost(replicas: usize, packed: Packed) -> Cost {
    let mut store = TestStore::over(TestCluster::with(config(), replicas).await);
    let mut rng = StdRng::seed_from_u64(1);
    put_and_settle(&mut store, &mut rng, packed).await;
    let before = trees(&store).await;
    put_and_settle(&mut store, &mut rng, packed).await;
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
    let cost = cost(1, Packed::No).await;
    assert!(cost.bytes <= 300 && cost.inserts <= 4, "{cost:?}");
}

/// Of three replicas, 759 bytes were too many. At 413 a replica still had the id of its node twice.
#[tokio::test]
async fn further_replicas_take_few_bytes() {
    let cost = cost(3, Packed::No).await;
    assert!(cost.bytes <= 320 && cost.inserts <= 8, "{cost:?}");
}

/// An object in a pack takes 220 bytes at most, whatever its number of copies: its pack has the rows of blocks and replicas.
#[tokio::test]
async fn an_object_in_a_pack_takes_as_few_bytes_whatever_its_copies() {
    for replicas in [1, 3] {
        let cost = cost(replicas, Packed::Yes).await;
        assert!(cost.bytes <= 220, "{replicas} replicas: {cost:?}");
    }
}

//! fsck, on damage that the tests make.

use std::collections::{BTreeMap, BTreeSet};

use cairn_protocol::admin::{
    Admin, AdminError, BucketHealth, FsckCursor, FsckPage, FsckRequest, FsckTotals, Problem, ProblemKind,
};
use cairn_protocol::id::BlockId;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::admin::fsck::page_of;
use super::support::{FIRST, TestStore, check};
use crate::store::{fsck as stored, tests as store_tests};

const OTHER: &str = "other";

/// The sums over all pages.
#[derive(Debug, Default, PartialEq)]
struct Whole {
    buckets: BTreeMap<String, BucketHealth>,
    totals: FsckTotals,
    problems: Vec<Problem>,
}

impl Whole {
    fn add(&mut self, page: FsckPage) {
        for found in page.buckets {
            let empty = BucketHealth { bucket: found.bucket.clone(), ..BucketHealth::default() };
            let sum = self.buckets.entry(found.bucket.clone()).or_insert(empty);
            sum.objects += found.objects;
            sum.bytes += found.bytes;
            sum.blocks += found.blocks;
        }
        self.totals += page.totals;
        self.problems.extend(page.problems);
    }

    /// The problems, each once, whichever pages they were on.
    fn kinds(&self) -> BTreeSet<(ProblemKind, BlockId)> {
        self.problems.iter().map(|problem| (problem.kind, problem.block)).collect()
    }
}

async fn whole(store: &TestStore, bucket: Option<&str>, rows: u32) -> Whole {
    let mut whole = Whole::default();
    let (mut request, mut progress) = (check(bucket), 0);
    // An upper limit of pages; no walk of these tests has as many.
    for _ in 0..20_000 {
        let page = page_of(&store.cluster.blocks.inner, request.clone(), rows).await.unwrap();
        assert!((progress..=1_000).contains(&page.progress_permille), "{progress} {request:?}");
        (progress, request.after) = (page.progress_permille, page.next.clone());
        whole.add(page);
        if request.after.is_none() {
            assert_eq!(progress, 1_000);
            return whole;
        }
    }
    panic!("the walk does not end: {request:?}");
}

/// Lets enough time pass for every pipeline to have ended.
fn age(store: &TestStore) {
    store.cluster.clock.advance(store.cluster.config.repair_grace * 2);
}

#[tokio::test]
async fn a_store_in_which_all_is_well_has_no_problem_and_its_numbers_are_right() {
    let mut store = TestStore::new(3).await;
    store.make_bucket(OTHER).await;
    let (version, _) = store.put(FIRST, "a", &[10, 20]).await;
    store.copy(version, OTHER, "copy", None).await;
    store.put(FIRST, "empty", &[]).await;
    store.put(FIRST, "gone", &[5]).await;
    store.delete(FIRST, "gone").await;
    let upload = store.begin(FIRST, "u", None).await;
    store.begin(FIRST, "without parts", None).await;
    store.put_part(&upload, 1, &[7]).await;
    store.put_part(&upload, 2, &[]).await;
    let completed = store.begin(OTHER, "c", None).await;
    let (part, _) = store.put_part(&completed, 3, &[8, 9]).await;
    store.complete(completed, vec![(3, part)]).await;
    store.cluster.verify().await;

    let found = whole(&store, None, 1_000).await;
    assert_eq!(found.problems, []);
    let numbers = |name: &str| {
        let health = &found.buckets[name];
        (health.objects, health.bytes, health.blocks.blocks)
    };
    // Two objects and two parts; two objects.
    assert_eq!(numbers(FIRST), (4, 37, 3));
    assert_eq!(numbers(OTHER), (2, 47, 4));
    assert_eq!(found.totals, FsckTotals { garbage_queued: 1, ..FsckTotals::default() });

    let one = whole(&store, Some(OTHER), 1_000).await;
    assert_eq!(one.buckets.keys().collect::<Vec<_>>(), [OTHER]);
    assert_eq!(one.buckets[OTHER], found.buckets[OTHER]);
    assert_eq!(one.totals, FsckTotals::default());
}

/// A store with each kind of damage in the first bucket, and none in the other.
async fn damaged() -> (TestStore, Vec<BlockId>) {
    let mut store = TestStore::new(4).await;
    store.make_bucket(OTHER).await;
    let mut blocks = Vec::new();
    for key in ["a", "b", "c", "d", "e", "f", "g"] {
        blocks.extend(store.put(FIRST, key, &[10]).await.1);
    }
    store.put(OTHER, "fine", &[10, 10]).await;
    let upload = store.begin(FIRST, "u", None).await;
    blocks.extend(store.put_part(&upload, 1, &[10]).await.1);
    age(&store);
    let block = |key: &str| format!("(SELECT block_id FROM versions WHERE key = CAST('{key}' AS BLOB))");
    let first = |key: &str| format!("(SELECT MIN(node) FROM replicas WHERE block_id = {})", block(key));
    let part = "(SELECT block_id FROM parts)";
    for statement in [
        format!("DELETE FROM replicas WHERE block_id = {}", block("a")),
        format!("DELETE FROM replicas WHERE block_id = {0} AND node = {1}", block("b"), first("b")),
        format!("UPDATE replicas SET state = 1 WHERE block_id = {0} AND node = {1}", block("c"), first("c")),
        format!(
            "INSERT INTO replicas SELECT {}, ordinal, 0 FROM nodes WHERE true ON CONFLICT DO NOTHING",
            block("d")
        ),
        format!("UPDATE blocks SET refs = 5 WHERE block_id = {}", block("e")),
        format!("DELETE FROM blocks WHERE block_id = {}", block("f")),
        "UPDATE versions SET length = 11 WHERE key = CAST('g' AS BLOB)".to_owned(),
        format!("UPDATE replicas SET state = 1 WHERE block_id = {part}"),
        "INSERT INTO blocks (block_id, length, crc32c, replication, refs) VALUES (x'00000000000000000000000000000001', 5, 0, 3, 0)".to_owned(),
        "INSERT INTO replicas VALUES (x'00000000000000000000000000000001', 999, 0)".to_owned(),
    ] {
        store.sql(Box::leak(statement.into_boxed_str())).await;
    }
    (store, blocks)
}

#[tokio::test]
async fn each_kind_of_damage_is_found_in_its_bucket_and_nowhere_else() {
    use ProblemKind::*;
    let (store, blocks) = damaged().await;
    let found = whole(&store, None, 1_000).await;
    let orphan = BlockId(uuid::Uuid::from_u128(1));
    let nil = BlockId(uuid::Uuid::nil());
    let expected = BTreeSet::from([
        (Missing, blocks[0]),
        (UnderReplicated, blocks[1]),
        (Corrupt, blocks[2]),
        (UnderReplicated, blocks[2]),
        (OverReplicated, blocks[3]),
        (WrongReferences, blocks[4]),
        (BrokenObject, blocks[5]),
        // Its single extent is as long as the row says, which is more than the block has; and the row does not match its checksum.
        (BrokenObject, blocks[6]),
        (BrokenObject, nil),
        (Missing, blocks[7]),
        (Orphaned, orphan),
        // The block's replicas are still there.
        (Orphaned, blocks[5]),
    ]);
    assert_eq!(found.kinds(), expected);
    let health = &found.buckets[FIRST].blocks;
    assert_eq!((health.blocks, health.missing, health.corrupt), (7, 2, 1));
    assert_eq!((health.under_replicated, health.over_replicated, health.misplaced), (2, 1, 0));
    let totals = FsckTotals {
        orphaned_blocks: 1,
        wrong_references: 1,
        // The replica of the unknown node, and those of the block without a row.
        orphaned_replicas: 4,
        ..FsckTotals::default()
    };
    assert_eq!(found.totals, totals);

    for problem in &found.problems {
        let of_object = !matches!(problem.kind, WrongReferences | Orphaned);
        assert_eq!(
            problem.bucket.as_deref() == Some(FIRST) && problem.key.is_some(),
            of_object,
            "{problem:?}"
        );
        assert!(!problem.advice.is_empty());
    }
    let advice = |kind, block| {
        let problem = found.problems.iter().find(|problem| (problem.kind, problem.block) == (kind, block));
        problem.unwrap().advice.clone()
    };
    assert!(advice(Missing, blocks[0]).contains("restore s3://bucket/a from elsewhere"));
    assert!(advice(Missing, blocks[7]).contains("cairn admin where s3://bucket/u --verify"));
    assert!(advice(UnderReplicated, blocks[1]).contains("2 of 3 replicas"));
    assert!(advice(UnderReplicated, blocks[1]).contains("cairn admin fsck --repair"));

    let other = whole(&store, Some(OTHER), 1_000).await;
    assert_eq!((other.problems, other.totals), (Vec::new(), FsckTotals::default()));
    assert_eq!(other.buckets[OTHER].blocks, found.buckets[OTHER].blocks);
}

#[tokio::test]
async fn the_problems_found_do_not_depend_on_the_size_of_pages() {
    let (mut store, _) = damaged().await;
    store.put(FIRST, "long", &[1; 9]).await;
    let upload = store.begin(OTHER, "u", None).await;
    for number in [1, 4, 9] {
        store.put_part(&upload, number, &[1; 4]).await;
    }
    store.delete(FIRST, "long").await;
    store.put(FIRST, "long", &[1; 9]).await;
    age(&store);
    let expected = whole(&store, None, 1_000).await;
    for rows in 1..25 {
        let found = whole(&store, None, rows).await;
        assert_eq!((&found.buckets, found.totals), (&expected.buckets, expected.totals), "{rows} rows");
        assert_eq!(found.kinds(), expected.kinds(), "{rows} rows");
    }
}

#[tokio::test]
async fn a_gap_an_overlap_and_a_lost_part_break_an_object() {
    let mut store = TestStore::new(3).await;
    for key in ["gap", "overlap", "short", "beyond"] {
        store.put(FIRST, key, &[10, 10, 10]).await;
    }
    let upload = store.begin(FIRST, "parts", None).await;
    let (one, _) = store.put_part(&upload, 1, &[6]).await;
    let (two, _) = store.put_part(&upload, 2, &[6]).await;
    store.complete(upload, vec![(1, one), (2, two)]).await;
    age(&store);
    assert_eq!(whole(&store, None, 1_000).await.problems, []);
    for statement in [
        "DELETE FROM list_entries WHERE place = 10 AND list_id = (SELECT list_id FROM versions WHERE key = CAST('gap' AS BLOB))",
        "UPDATE list_entries SET place = 9 WHERE place = 10 AND list_id = (SELECT list_id FROM versions WHERE key = CAST('overlap' AS BLOB))",
        "DELETE FROM list_entries WHERE place = 20 AND list_id = (SELECT list_id FROM versions WHERE key = CAST('short' AS BLOB))",
        "UPDATE list_entries SET start = 1 WHERE place = 20 AND list_id = (SELECT list_id FROM versions WHERE key = CAST('beyond' AS BLOB))",
        "DELETE FROM list_parts WHERE number = 2",
    ] {
        store.sql(statement).await;
    }
    for rows in [1, 2, 3, 1_000] {
        let found = whole(&store, Some(FIRST), rows).await;
        let broken = |problem: &&Problem| problem.kind == ProblemKind::BrokenObject;
        let keys: BTreeSet<_> =
            found.problems.iter().filter(broken).filter_map(|problem| problem.key.as_deref()).collect();
        assert_eq!(keys, BTreeSet::from(["beyond", "gap", "overlap", "parts", "short"]), "{rows} rows");
    }
}

#[tokio::test]
async fn blocks_whose_pipeline_may_still_run_are_no_problem() {
    let mut store = TestStore::new(3).await;
    store.put(FIRST, "a", &[10]).await;
    store.sql("DELETE FROM replicas WHERE node = (SELECT MIN(node) FROM replicas)").await;
    assert_eq!(whole(&store, None, 1_000).await.problems, []);
    age(&store);
    let found = whole(&store, None, 1_000).await;
    assert_eq!(found.problems.len(), 1);
    assert_eq!(found.problems[0].kind, ProblemKind::UnderReplicated);
}

#[tokio::test]
async fn copies_crowded_in_one_zone_are_misplaced_when_another_could_take_one() {
    let mut store = TestStore::new(0).await;
    for zone in ["a", "a"] {
        store.cluster.add_node(Some(zone)).await;
    }
    store.put(FIRST, "k", &[10]).await;
    age(&store);
    store.sql("UPDATE blocks SET replication = 2").await;
    assert_eq!(whole(&store, None, 1_000).await.problems, []);
    store.cluster.add_node(Some("b")).await;
    let found = whole(&store, None, 1_000).await;
    assert_eq!(
        found.problems.iter().map(|problem| problem.kind).collect::<Vec<_>>(),
        [ProblemKind::Misplaced]
    );
    assert_eq!(found.buckets[FIRST].blocks.misplaced, 1);
}

#[tokio::test]
async fn a_dead_node_makes_its_blocks_lack_copies_and_the_last_ones_missing() {
    let mut store = TestStore::new(2).await;
    let (_, both) = store.put(FIRST, "both", &[10]).await;
    let (_, one) = store.put(FIRST, "one", &[10]).await;
    store.cluster.beat_all().await;
    let dead = store.cluster.nodes[0].id;
    let other = store.cluster.nodes[1].id;
    let bytes = one[0];
    store
        .cluster
        .store
        .write(move |tx| {
            Box::pin(async move { crate::store::replicas::remove(tx, bytes, other).await.map(drop) })
        })
        .await
        .unwrap();
    store.cluster.down(0);
    let patience = store.cluster.config.dead_after + store.cluster.config.heartbeat_interval * 3;
    for _ in 0..3 {
        store.cluster.clock.advance(patience);
        store.cluster.beat_all().await;
        store.cluster.notice_lost_contact().await;
    }
    let found = whole(&store, None, 1_000).await;
    let expected = BTreeSet::from([(ProblemKind::UnderReplicated, both[0]), (ProblemKind::Missing, one[0])]);
    assert_eq!(found.kinds(), expected);
    let missing = found.problems.iter().find(|problem| problem.kind == ProblemKind::Missing).unwrap();
    assert_eq!(missing.holders, [dead]);
    assert!(missing.advice.contains(&dead.to_string()), "{}", missing.advice);
}

#[tokio::test]
async fn repairs_queue_recount_and_forget_and_delete_no_data() {
    let (store, blocks) = damaged().await;
    let before = whole(&store, None, 1_000).await;
    let request = FsckRequest { repair: true, ..check(None) };
    let mut after = None;
    loop {
        let request = FsckRequest { after, ..request.clone() };
        let page = page_of(&store.cluster.blocks.inner, request, 3).await.unwrap();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut reader = store.cluster.store.read().await.unwrap();
    for index in [0, 1, 2, 3, 7] {
        assert!(crate::store::repairs::find(&mut reader, blocks[index]).await.unwrap().is_some(), "{index}");
    }
    drop(reader);
    let found = whole(&store, None, 1_000).await;
    assert_eq!(found.totals.wrong_references, 0);
    // Only the replica of the unknown node is removed from SQL.
    assert_eq!(found.totals.orphaned_replicas, before.totals.orphaned_replicas - 1);
    assert_eq!(found.totals.orphaned_blocks, 1);
    assert_eq!(found.totals.deletions_queued, 0);
    assert_eq!(found.buckets, before.buckets);
    let advice = |whole: &Whole| {
        let problem = whole.problems.iter().find(|problem| problem.block == blocks[1]);
        problem.unwrap().advice.clone()
    };
    assert!(advice(&found).contains("it is queued for that"), "{}", advice(&found));
}

/// No transaction makes a counter wrong, so the test does, behind the counters' back.
#[tokio::test]
async fn wrong_counters_are_found_and_counted_anew_while_the_cluster_works() {
    let mut store = TestStore::new(3).await;
    for key in ["a", "b"] {
        store.put(FIRST, key, &[10]).await;
    }
    age(&store);
    for statement in [
        "UPDATE node_totals SET replicas = 7, bytes = 1 WHERE node_id = (SELECT MIN(node_id) FROM nodes)",
        "UPDATE block_totals SET blocks = 0",
        "INSERT INTO repair_totals VALUES (1, 3, 4)",
    ] {
        crate::store::tests::execute(&store.cluster.store, statement).await;
    }
    let found = whole(&store, None, 3).await;
    assert!(found.problems.iter().all(|problem| problem.kind == ProblemKind::WrongCounter));
    let advice: String = found.problems.iter().map(|problem| problem.advice.clone() + "\n").collect();
    for words in [
        "the counter of blocks says 0 with 0 bytes, and there are 2 with 0 bytes",
        "says 7 with 1 bytes, and there are 2 with 20 bytes",
        "the counter of blocks in the repair queue with 1 of 3 replicas says 4 with 0 bytes, and there are 0",
    ] {
        assert!(advice.contains(words), "{advice}");
    }
    assert_eq!(found.totals.wrong_counters, 3);

    // A page that only looks changes nothing; the walk that repairs meets a cluster that goes on writing.
    let mut after = None;
    loop {
        let request = FsckRequest { repair: true, after, ..check(None) };
        let page = page_of(&store.cluster.blocks.inner, request, 3).await.unwrap();
        store.put(FIRST, "c", &[10]).await;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(whole(&store, None, 1_000).await.totals.wrong_counters, 0);
    assert_eq!(store.cluster.store.verify_invariants().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_cursor_that_fsck_did_not_hand_out_is_refused() {
    let mut store = TestStore::new(1).await;
    store.make_bucket(OTHER).await;
    store.put(FIRST, "a", &[1, 1]).await;
    for text in ["", "x", "{}", "null", r#"{"only":null,"place":"Nowhere"}"#] {
        let after = Some(FsckCursor(text.to_owned()));
        let refused = store.cluster.blocks.fsck(FsckRequest { after, ..check(None) }).await;
        assert!(matches!(refused, Err(AdminError::Malformed { .. })), "{text}");
    }
    let first = page_of(&store.cluster.blocks.inner, check(Some(FIRST)), 1).await.unwrap();
    for bucket in [None, Some(OTHER)] {
        let request = FsckRequest { after: first.next.clone(), ..check(bucket) };
        let refused = store.cluster.blocks.fsck(request).await;
        assert!(matches!(refused, Err(AdminError::Malformed { .. })), "{bucket:?}");
    }
    let unknown = store.cluster.blocks.fsck(check(Some("none"))).await;
    assert!(matches!(unknown, Err(AdminError::NoSuchBucket { bucket }) if bucket == "none"));
}

#[tokio::test]
async fn changes_between_two_pages_are_no_problems() {
    let mut store = TestStore::new(1).await;
    for key in ["a", "b"] {
        store.put(FIRST, key, &[3, 4, 5]).await;
    }
    // The first page ends in the middle of "a", which then changes.
    for change in 0..4 {
        let inner = store.cluster.blocks.inner.clone();
        let mut page = page_of(&inner, check(None), 2).await.unwrap();
        match change {
            0 => drop(store.put(FIRST, "a", &[1, 1, 1, 1, 1, 1, 1, 1]).await),
            1 => drop(store.put(FIRST, "a", &[]).await),
            2 => store.delete(FIRST, "a").await,
            _ => drop(store.put(FIRST, "a", &[9]).await),
        }
        while let Some(after) = page.next.clone() {
            assert_eq!(page.problems, [], "change {change}");
            page = page_of(&inner, FsckRequest { after: Some(after), ..check(None) }, 2).await.unwrap();
        }
        assert_eq!(page.problems, [], "change {change}");
        store.put(FIRST, "a", &[3, 4, 5]).await;
    }
    // The bucket is deleted while its uploads are checked.
    let upload = store.begin(FIRST, "u", None).await;
    store.put_part(&upload, 1, &[1, 1, 1]).await;
    for key in ["a", "b"] {
        store.delete(FIRST, key).await;
    }
    let page = page_of(&store.cluster.blocks.inner, check(None), 2).await.unwrap();
    let page = page_of(&store.cluster.blocks.inner, FsckRequest { after: page.next, ..check(None) }, 2)
        .await
        .unwrap();
    store.remove_bucket(FIRST).await;
    let mut after = page.next;
    while after.is_some() {
        let page =
            page_of(&store.cluster.blocks.inner, FsckRequest { after, ..check(None) }, 2).await.unwrap();
        assert_eq!(page.problems, []);
        after = page.next;
    }
}

/// After any operations between pages, fsck finds as little wrong with the tables as the check of their invariants.
/// When something is damaged by hand, both find it.
#[tokio::test]
async fn in_any_history_the_check_agrees_with_the_invariants() {
    for seed in 0..6 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut store = TestStore::new(3).await;
        store.make_bucket(OTHER).await;
        let keys = ["a", "b", "c", "d"];
        let (mut uploads, mut versions) = (Vec::new(), Vec::new());
        let mut after = None;
        for step in 0..60 {
            let key = keys[rng.random_range(0..keys.len())];
            let bucket = [FIRST, OTHER][rng.random_range(0..2)];
            let lengths: Vec<u64> = (0..rng.random_range(0..4)).map(|_| rng.random_range(1..9)).collect();
            match rng.random_range(0..7) {
                0 | 1 => versions.push(store.put(bucket, key, &lengths).await.0),
                2 => store.delete(bucket, key).await,
                3 if !versions.is_empty() => {
                    let source = versions[rng.random_range(0..versions.len())];
                    versions.push(store.copy(source, bucket, key, None).await);
                }
                4 => uploads.push((store.begin(bucket, key, None).await, BTreeMap::new())),
                5 if !uploads.is_empty() => {
                    let upload = rng.random_range(0..uploads.len());
                    let number = rng.random_range(1..4);
                    let target = uploads[upload].0.clone();
                    let (part, _) = store.put_part(&target, number, &lengths).await;
                    uploads[upload].1.insert(number, part);
                }
                6 if uploads.last().is_some_and(|(_, parts)| !parts.is_empty()) => {
                    let (target, parts) = uploads.pop().unwrap();
                    versions.push(store.complete(target, parts.into_iter().collect()).await);
                }
                _ => {}
            }
            let rows = rng.random_range(1..6);
            let request = FsckRequest { after, ..check(None) };
            let page = page_of(&store.cluster.blocks.inner, request, rows).await.unwrap();
            assert_eq!(page.problems, [], "seed {seed}, step {step}");
            after = page.next;
        }
        store.cluster.settle().await;
        assert_eq!(whole(&store, None, 3).await.problems, [], "seed {seed}");
        let statement = [
            "DELETE FROM list_entries WHERE list_id = (SELECT MIN(list_id) FROM list_entries)",
            "UPDATE blocks SET refs = refs + 1 WHERE block_id = (SELECT MAX(block_id) FROM blocks)",
            "DELETE FROM blocks WHERE block_id = (SELECT MIN(block_id) FROM blocks)",
            "UPDATE versions SET length = length + 1",
            "UPDATE parts SET length = length + 1",
            "INSERT INTO blocks (block_id, length, crc32c, replication, refs) VALUES (x'00000000000000000000000000000001', 5, 0, 0, 0)",
        ][usize::try_from(seed).unwrap()];
        store.sql(statement).await;
        let broken = !store.cluster.store.verify_invariants().await.unwrap().is_empty();
        assert_eq!(!whole(&store, None, 3).await.problems.is_empty(), broken, "seed {seed}");
        assert!(broken, "seed {seed}");
    }
}

/// A page costs as much as its rows, wherever it is. The cost is counted in steps of SQLite's virtual machine.
#[tokio::test]
async fn a_page_of_a_hundred_thousand_objects_costs_its_rows() {
    let store = TestStore::new(1).await;
    store_tests::fill(&store.cluster.store, 100_000, 10).await;
    store.sql("INSERT INTO blocks (block_id, length, crc32c, replication, refs) SELECT version_id, 1, 0, 1, 1 FROM versions").await;
    store.sql("UPDATE versions SET length = 1, block_id = version_id").await;
    store.sql("INSERT INTO replicas SELECT block_id, ordinal, 0 FROM blocks, nodes").await;
    store
        .sql(
            "INSERT INTO uploads (upload_id, bucket_id, key, initiated_at, attributes, tags)
             SELECT version_id, bucket_id, key, 0, '{}', '{}' FROM versions",
        )
        .await;
    let mut reader = store.cluster.store.read().await.unwrap();
    let (bucket, _) = stored::bucket_from(&mut reader, FIRST).await.unwrap().unwrap();
    let max = 100;
    for key in ["", "p05/00050005"] {
        let place = stored::ObjectPlace { key, sequence: None, offset: 0 };
        let (rows, steps) = store_tests::steps(&mut reader, async |reader| {
            stored::objects(reader, bucket, place, max).await.unwrap().len()
        })
        .await;
        assert_eq!(rows, 100);
        assert!(steps < 500 * u64::from(max), "{steps} steps for {max} rows");
    }
    let place = stored::PartPlace { key: "p05/00050005", upload: &[], number: 0, offset: 0 };
    let (rows, steps) = store_tests::steps(&mut reader, async |reader| {
        stored::parts(reader, bucket, place, max).await.unwrap().len()
    })
    .await;
    assert!(rows == 100 && steps < 500 * u64::from(max), "{steps} steps");
    let middle = Some(BlockId::from_slice(b"0000000000050000").unwrap());
    let (rows, steps) = store_tests::steps(&mut reader, async |reader| {
        stored::blocks(reader, middle, max).await.unwrap().len()
    })
    .await;
    // The references of a page are counted by one pass over all rows, so these pages are large.
    assert!(rows == 100 && steps < 10 * 100_000, "{steps} steps");
    let middle = middle.map(|block| (block, crate::store::nodes::NodeOrdinal(1)));
    let (rows, steps) = store_tests::steps(&mut reader, async |reader| {
        stored::replicas(reader, middle, max).await.unwrap().len()
    })
    .await;
    assert!(rows == 100 && steps < 500 * u64::from(max), "{steps} steps");
    drop(reader);
    let found = whole(&store, None, 2_000).await;
    assert_eq!(found.buckets[FIRST].objects, 100_000);
}

/// An overwritten version counted as garbage at once, while clients still read it. When its blocks were lost, fsck did
/// not report it.
#[tokio::test]
async fn versions_that_may_still_be_read_are_checked_on_pages_of_any_size() {
    let mut store = TestStore::new(3).await;
    store.make_bucket(OTHER).await;
    let (_, lost) = store.put(FIRST, "overwritten", &[10, 20, 30]).await;
    let (_, gap) = store.put(OTHER, "deleted", &[10, 20]).await;
    let upload = store.begin(FIRST, "u", None).await;
    store.put_part(&upload, 1, &[5]).await;
    // A part that was replaced is garbage too, but no request reads it.
    store.put_part(&upload, 1, &[6]).await;
    store.put(FIRST, "overwritten", &[1]).await;
    store.delete(OTHER, "deleted").await;
    store.remove_bucket(OTHER).await;
    age(&store);
    let fine = whole(&store, None, 1_000).await;
    assert_eq!((fine.problems, fine.totals.garbage_queued), (Vec::new(), 3));
    assert_eq!(fine.buckets[FIRST].objects, 2, "retired versions are no objects");

    store.cluster.damage(lost[1]).await;
    store.cluster.drop_extent(gap[1]).await;
    let found = whole(&store, None, 1_000).await;
    let broken = BlockId(uuid::Uuid::nil());
    let orphan = (ProblemKind::Orphaned, gap[1]);
    let kinds = [(ProblemKind::Missing, lost[1]), (ProblemKind::BrokenObject, broken), orphan];
    assert_eq!(found.kinds(), kinds.into());
    let problem = |kind| found.problems.iter().find(|problem| problem.kind == kind).unwrap();
    let missing = problem(ProblemKind::Missing);
    assert_eq!((missing.bucket.as_deref(), missing.key.as_deref()), (Some(FIRST), Some("overwritten")));
    assert!(missing.advice.contains("deleted or overwritten"), "{}", missing.advice);
    let gone = problem(ProblemKind::BrokenObject);
    assert_eq!(
        (gone.bucket.as_deref(), gone.key.as_deref()),
        (None, Some("deleted")),
        "its bucket is deleted"
    );
    assert_eq!(found.buckets[FIRST].blocks.missing, 0, "no object of the bucket lacks anything");
    for rows in 1..8 {
        assert_eq!(whole(&store, None, rows).await.kinds(), kinds.into(), "{rows}");
    }

    // When the first extent is removed, no request can read the version any more.
    store.cluster.clock.advance(store.cluster.config.garbage_grace * 2);
    store.cluster.beat_all().await;
    store.cluster.step(cairn_protocol::admin::WorkerName::Garbage).await;
    assert_eq!(whole(&store, None, 1_000).await.kinds(), [orphan].into());
}

//! The promises of every history of a small cluster in which every kind of event happens: writes and deletes, crashes,
//! losses, bad blocks, broken volumes, drains, maintenance, new nodes, restarts of the metanode. At every command:
//!
//! * no block is lowered below its replication (`Promise::Factor`),
//! * no node is ordered to make a replica that it has, makes or deletes (`Promise::Distinct`),
//! * no last good replica is deleted except with its block (`Promise::LastReplica`);
//!
//! and when the cluster is left alone with enough nodes:
//!
//! * each block gets its replication, drained nodes are empty, utilisation is within the threshold, and then nothing is
//!   done any more (`Promise::Rest`),
//! * no more was copied than there was cause for (`Promise::Work`).
//!
//! Each history is checked for all of them. A failure shows the seed of the history; `live(seed)` runs it again.

use std::ops::Range;

use cairn_sim::history::live;

/// Runs the histories of these seeds, and shows the first three that break a promise.
fn keep_every_promise(seeds: Range<u64>) {
    let broken: Vec<String> = seeds.filter_map(|seed| live(seed).first_violation()).take(3).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

// 10,000 histories, in parts that run at the same time.

#[test]
fn histories_0_to_2500_keep_every_promise() {
    keep_every_promise(0..2_500);
}

#[test]
fn histories_2500_to_5000_keep_every_promise() {
    keep_every_promise(2_500..5_000);
}

#[test]
fn histories_5000_to_7500_keep_every_promise() {
    keep_every_promise(5_000..7_500);
}

#[test]
fn histories_7500_to_10000_keep_every_promise() {
    keep_every_promise(7_500..10_000);
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in 0..20 {
        assert_eq!(live(seed).tally, live(seed).tally, "seed {seed}");
    }
}

#[test]
fn histories_contain_every_kind_of_event() {
    let mut sums = [0u64; 12];
    for seed in 0..200 {
        let tally = live(seed).tally;
        let seen = [
            tally.crashes,
            tally.losses,
            tally.volumes_broken,
            tally.corruptions,
            tally.restarts,
            tally.blocks_lost,
            tally.failed,
            tally.dropped.copies,
            tally.repaired.copies,
            tally.drained.copies,
            tally.spread.copies,
            tally.moved.copies,
        ];
        for (sum, seen) in sums.iter_mut().zip(seen) {
            *sum += seen;
        }
    }
    assert!(sums.iter().all(|sum| *sum > 20), "{sums:?}");
}

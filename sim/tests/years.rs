//! Years of failures in large clusters.

use cairn_sim::config::DAY;
use cairn_sim::years::{Plan, live, summary};

#[test]
fn a_thousand_nodes_keep_every_promise_and_lose_nothing() {
    for seed in 0..2 {
        let story = live(Plan { blocks: 5_000, ..Plan::new(1_000, 90) }, seed, |_, _| {});
        assert_eq!(story.cluster.violations, [], "seed {seed}\n{}", summary(&story));
        assert_eq!(story.cluster.tally.blocks_lost, 0, "seed {seed}");
        assert!(story.rest.is_some_and(|rest| rest < 30 * DAY), "seed {seed}\n{}", summary(&story));
        let tally = story.cluster.tally;
        let least = tally.cause.lost + tally.cause.drained + tally.cause.forgotten;
        assert!(tally.repaired.bytes + tally.drained.bytes <= least, "seed {seed}\n{}", summary(&story));
        assert!(tally.losses > 10 && tally.crashes > 500, "seed {seed}\n{}", summary(&story));
    }
}

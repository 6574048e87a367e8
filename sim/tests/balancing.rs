//! Balancing a cluster that gets new, empty nodes. With moves under way in the prediction, utilisation goes straight to
//! the mean; without them, nodes are filled and emptied again.

use cairn_sim::balancing::{Balanced, add_nodes};
use cairn_sim::config::{Config, HOUR, MINUTE};

const MIB: u64 = 1 << 20;

/// 20 nodes with 1,200 blocks of 4 to 16 MiB in 3 replicas, and two new nodes.
fn balanced(seed: u64, config: Config) -> Balanced {
    let balanced = add_nodes(seed, 20, 2, 1_200, config, HOUR);
    assert_eq!(balanced.violations, [], "seed {seed}");
    balanced
}

/// Copies take seconds, and the rate allows few of them at the same time, so predictions are off by little.
fn calm() -> Config {
    Config { bandwidth: 8 * MIB, ..Config::default() }
}

/// Copies take minutes, because the rate allows many of them at the same time.
fn hasty() -> Config {
    let command_deadline = 30 * MINUTE;
    Config {
        bandwidth: 16 * MIB,
        balance_rate: 256 * MIB,
        in_flight: 1_024 * MIB,
        command_deadline,
        ..Config::default()
    }
}

#[test]
fn with_moves_in_the_prediction_balancing_converges_without_moving_a_copy_twice() {
    for config in [calm(), hasty()] {
        for seed in 0..10 {
            let Balanced { tally, least, rests, outside, .. } = balanced(seed, config);
            assert!(rests && outside == 0, "seed {seed}");
            assert_eq!(tally.moved_again, 0, "seed {seed}");
            // `least` would bring all nodes to the mean. To bring them within the threshold takes no more.
            assert!(
                tally.moved.bytes <= least,
                "seed {seed}: {} bytes, {least} at the least",
                tally.moved.bytes
            );
            assert_eq!(tally.dropped, tally.moved, "seed {seed}: one goes for each that comes");
        }
    }
}

#[test]
fn without_them_it_moves_more_when_few_are_under_way() {
    let bytes = |config: Config| (0..10).map(|seed| balanced(seed, config).tally.moved.bytes).sum::<u64>();
    let (with, without) = (bytes(calm()), bytes(Config { move_intents: false, ..calm() }));
    assert!(without > with, "{without} bytes without, {with} with");
}

#[test]
fn without_them_it_swings_to_and_fro_when_many_are_under_way() {
    for seed in 0..3 {
        let swinging = balanced(seed, Config { move_intents: false, ..hasty() });
        assert!(!swinging.rests, "seed {seed}");
        assert!(swinging.tally.moved.bytes > 5 * swinging.least, "seed {seed}: {:?}", swinging.tally.moved);
        let again = swinging.tally.moved_again;
        assert!(
            again > swinging.tally.moved.copies / 2,
            "seed {seed}: {again} of {:?}",
            swinging.tally.moved
        );
    }
}

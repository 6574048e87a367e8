//! A day of overwrites of small objects: the space that they take, and what is written, next to the objects themselves.
//!
//! Packs trade one for the other. A pack keeps the bytes of deleted objects until it is packed again, which writes those that
//! are alive once more. At most 1.5 times the space and 2.5 times the writes are wanted.

use std::collections::BTreeSet;
use std::time::Duration;

use cairn_protocol::id::BlockId;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::cluster::TestCluster;
use super::support::{FIRST, TestStore};
use crate::block_manager::BlockManagerConfig;

const OBJECTS: usize = 2_000;

/// Steps of a day, each of ten minutes.
const STEPS: usize = 144;

const STEP: Duration = Duration::from_secs(600);

/// Objects of up to 20,000 bytes on one datanode.
struct Simulation {
    store: TestStore,
    rng: StdRng,
    lengths: Vec<u64>,
    /// Blocks that the datanode had at the end of the last step.
    known: BTreeSet<BlockId>,
    /// Bytes that the datanode wrote.
    written: u64,
    /// Bytes that clients wrote.
    accepted: u64,
}

impl Simulation {
    /// Objects that were written and packed before the day.
    async fn new() -> Self {
        let config = BlockManagerConfig { pack_size: 1 << 20, ..BlockManagerConfig::default() };
        let mut simulation = Self {
            store: TestStore::over(TestCluster::with(config, 1).await),
            rng: StdRng::seed_from_u64(9),
            lengths: vec![0; OBJECTS],
            known: BTreeSet::new(),
            written: 0,
            accepted: 0,
        };
        for number in 0..OBJECTS {
            simulation.put(number).await;
        }
        for _ in 0..6 {
            simulation.pass().await;
        }
        assert!(simulation.known.len() < OBJECTS / 20, "{} blocks", simulation.known.len());
        (simulation.written, simulation.accepted) = (0, 0);
        simulation
    }

    async fn put(&mut self, number: usize) {
        let length = self.rng.random_range(1..20_000);
        self.store.put(FIRST, &format!("key {number}"), &[length]).await;
        self.lengths[number] = length;
        self.accepted += length;
    }

    /// Lets ten minutes pass. Deleted blocks stay for the grace period, so none comes and goes unseen.
    async fn pass(&mut self) {
        self.store.cluster.pass(STEP).await;
        let held = &self.store.cluster.nodes[0].held;
        self.written +=
            held.values().filter(|it| !self.known.contains(&it.block)).map(|it| it.length).sum::<u64>();
        self.known = held.keys().copied().collect();
    }

    /// The bytes on the datanode, by those of the objects.
    fn space(&self) -> f64 {
        let held: u64 = self.store.cluster.nodes[0].held.values().map(|it| it.length).sum();
        held as f64 / self.lengths.iter().sum::<u64>() as f64
    }

    /// A day in which `writes` objects are written. Returns the most space, and what was written, each as a multiple.
    async fn day(mut self, writes: usize, next: impl Fn(&mut StdRng) -> usize) -> (f64, f64) {
        let mut most = 0.0_f64;
        for step in 0..STEPS {
            for _ in writes * step / STEPS..writes * (step + 1) / STEPS {
                let number = next(&mut self.rng);
                self.put(number).await;
            }
            self.pass().await;
            most = most.max(self.space());
        }
        (most, self.written as f64 / self.accepted as f64)
    }
}

fn even(rng: &mut StdRng) -> usize {
    rng.random_range(0..OBJECTS)
}

/// Four of five overwrites are of a fifth of the objects.
fn uneven(rng: &mut StdRng) -> usize {
    let of = if rng.random_bool(0.8) { OBJECTS / 5 } else { OBJECTS };
    rng.random_range(0..of)
}

async fn assert_day(writes: usize, next: impl Fn(&mut StdRng) -> usize, most: (f64, f64)) {
    let (space, written) = Simulation::new().await.day(writes, next).await;
    assert!(space <= most.0 && written <= most.1, "space {space:.2}, writes {written:.2}");
}

#[tokio::test]
async fn a_quarter_of_all_objects_in_a_day_evenly() {
    assert_day(OBJECTS / 4, even, (1.5, 2.5)).await;
}

#[tokio::test]
async fn half_of_all_objects_in_a_day_and_some_more_often() {
    assert_day(OBJECTS / 2, uneven, (1.5, 2.5)).await;
}

/// The worst: all packs become sparse, and at the same time. A pack of which half is alive takes twice the space, and is not
/// packed again. Packing it again earlier was measured (at 60 %): it took more space and more writes, because both packs exist for
/// the grace period.
#[tokio::test]
async fn all_objects_in_a_day_evenly() {
    assert_day(OBJECTS, even, (2.0, 3.0)).await;
}

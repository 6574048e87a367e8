//! The cost of placing the three replicas of a block in a cluster of 10,000 nodes in 20 zones: with a view that does
//! not change, and with one that changes between two placements, as it does while heartbeats arrive.

use std::hint::black_box;
use std::sync::Arc;

use cairn_planner::placement::{Demand, place};
use cairn_planner::view::{ClusterView, NodeView};
use cairn_types::id::NodeId;
use cairn_types::node::{AdminState, NodeState};
use criterion::{Criterion, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

const NODES: u64 = 10_000;
const CAPACITY: u64 = 10 << 40;
const BLOCK: u64 = 64 << 20;

fn node(number: u64, used: u64) -> NodeView {
    let free = CAPACITY - used;
    NodeView {
        node: NodeId(Uuid::from_u128(u128::from(number))),
        zone: Some(Arc::from(format!("zone-{}", number % 20))),
        state: NodeState::Live,
        admin_state: AdminState::InService,
        suspect: false,
        failing: false,
        capacity: CAPACITY,
        predicted_used: used,
        free_space: free,
        largest_volume: free / 4,
    }
}

fn placement(criterion: &mut Criterion) {
    let demand = Demand { bytes: BLOCK, copies: 3, holders: &[], exclude: &[] };
    let mut view = ClusterView::new((0..NODES).map(|n| node(n, CAPACITY / NODES * n)).collect());
    let mut rng = StdRng::seed_from_u64(1);
    let mut group = criterion.benchmark_group("place a block among 10,000 nodes");
    group.bench_function("the view stays", |bencher| {
        bencher.iter(|| place(black_box(&view), &demand, &mut rng));
    });
    let mut number = 0;
    group.bench_function("a node of the view changes each time", |bencher| {
        bencher.iter(|| {
            number = (number + 7919) % NODES;
            view.set(node(number, CAPACITY / NODES * number / 2));
            place(&view, &demand, &mut rng)
        });
    });
    group.finish();
}

criterion_group!(benches, placement);
criterion_main!(benches);

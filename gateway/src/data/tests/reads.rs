//! Promises about reads that last longer than the grace period of a replaced version.

use std::time::Duration;

use cairn_protocol::id::VersionId;
use futures_util::StreamExt;

use super::world::{GRACE, World, bytes};

const BLOCK: u64 = 256 * 1024;

/// Advances the clock in steps, between which tasks run.
async fn pass(world: &World, duration: Duration) {
    let until = world.env.monotonic() + duration;
    while world.env.monotonic() < until {
        world.clock.advance(Duration::from_secs(5));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

fn renewals(world: &World, version: VersionId) -> Vec<Duration> {
    world.meta().reads_renewed.iter().filter(|(read, _)| *read == version).map(|(_, at)| *at).collect()
}

/// A GET that lasted longer than the grace period broke off when its object was overwritten.
#[tokio::test]
async fn a_read_that_lasts_is_renewed_well_within_the_grace_period_until_it_ends() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let version = world.put(&data, vec![bytes(4 * BLOCK as usize)]).await.version;
    let located = || world.located(0..4 * BLOCK, 10);
    let mut body = data.read(located()).await.unwrap();
    let second = data.read(located()).await.unwrap();
    body.next().await.unwrap().unwrap();
    pass(&world, GRACE * 3).await;
    let times = renewals(&world, version);
    let mut last = Duration::ZERO;
    for at in times.iter().chain([&(GRACE * 3)]) {
        assert!(*at - last < GRACE / 2, "{times:?}");
        last = *at;
    }
    // All reads of a version share one renewal, and there are no more renewals than needed.
    assert!(times.len() <= 12, "{times:?}");

    // The renewals continue until the last read ends.
    drop(second);
    pass(&world, GRACE).await;
    let before = renewals(&world, version).len();
    assert!(before > times.len());
    drop(body);
    pass(&world, GRACE * 2).await;
    assert_eq!(renewals(&world, version).len(), before);

    // They begin again with the next read.
    let _third = data.read(located()).await.unwrap();
    pass(&world, GRACE).await;
    assert!(renewals(&world, version).len() > before);
}

#[tokio::test]
async fn a_short_read_is_not_reported_to_the_metanode() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    world.put(&data, vec![bytes(4 * BLOCK as usize)]).await;
    for _ in 0..10 {
        world.get(&data, 0..4 * BLOCK).await.unwrap();
        pass(&world, GRACE / 20).await;
    }
    assert!(world.meta().reads_renewed.is_empty());
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_soon() {
    let world = World::new(3, BLOCK);
    let data = world.data();
    let version = world.put(&data, vec![bytes(4 * BLOCK as usize)]).await.version;
    let _body = data.read(world.located(0..4 * BLOCK, 10)).await.unwrap();
    world.meta().read_renewals_refused = 5;
    pass(&world, GRACE / 2).await;
    assert!(!renewals(&world, version).is_empty());
}

//! The state of a volume after the power or the process failed: every acknowledged block reads back, and no half-written one
//! appears.

use std::sync::Arc;
use std::time::Duration;

use cairn_protocol::env::{Env, Timestamp};
use proptest::prelude::*;

use super::model::{Model, op};
use super::support::{block_on, content, id, open_in, open_real, options, options_with_trash, put, read};
use crate::volume::Volume;
use crate::volume::sim::SimDisk;

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn after_a_loss_of_power_every_acknowledged_block_reads_back_and_no_half_one_shows_up(
        rounds in proptest::collection::vec(
            (proptest::collection::vec(op(), 1..30), 1u64..400, any::<u64>()),
            1..4,
        ),
        has_trash in any::<bool>(),
    ) {
        let mut disk = SimDisk::new(1 << 30);
        let mut model = Model::new(has_trash);
        // The clock advances over restarts, so that each deletion has its own time.
        let (env, clock) = Env::manual(1, Timestamp(1_000_000));
        let open = |disk: &SimDisk| open_in(disk, options_with_trash(has_trash), env.clone());
        for (ops, power_fails_after, seed) in rounds {
            disk.fail_power_after(power_fails_after);
            // The power may fail while the volume recovers.
            if let Ok(volume) = open(&disk).map(Arc::new) {
                block_on(async {
                    for op in &ops {
                        clock.advance(Duration::from_millis(1));
                        model.run(&volume, &disk, op).await;
                    }
                });
                volume.close();
            }
            disk = disk.restart(seed);
            let volume = open(&disk).unwrap();
            model.check(&volume);
            volume.close();
        }
    }

    #[test]
    fn the_index_after_a_restart_is_the_one_before(
        ops in proptest::collection::vec(op(), 1..40),
        has_trash in any::<bool>(),
    ) {
        let disk = SimDisk::new(1 << 30);
        let mut model = Model::new(has_trash);
        // The clock advances over restarts, so that each deletion has its own time.
        let (env, clock) = Env::manual(1, Timestamp(1_000_000));
        let open = |disk: &SimDisk| open_in(disk, options_with_trash(has_trash), env.clone());
        let volume = Arc::new(open(&disk).unwrap());
        block_on(async {
            for op in &ops {
                clock.advance(Duration::from_millis(1));
                model.run(&volume, &disk, op).await;
            }
        });
        let page = volume.page(None, usize::MAX);
        let bytes = |volume: &Volume| (volume.state.index().used(), volume.state.index().trash_bytes());
        let before = bytes(&volume);
        // The volume is not closed, as when the process dies and the machine does not.
        drop(volume);
        let volume = open(&disk).unwrap();
        prop_assert_eq!(volume.page(None, usize::MAX), page);
        prop_assert_eq!(bytes(&volume), before);
        model.check(&volume);
    }
}

#[test]
fn a_torn_tail_on_a_real_disk_is_cut_off_and_the_volume_goes_on_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let open = || open_real(directory.path(), options());
    let volume = open();
    block_on(async {
        put(&volume, id(1), &content(1, 1000)).await.unwrap();
        put(&volume, id(2), &content(2, 50_000)).await.unwrap();
    });
    drop(volume);
    let segment = directory.path().join("shared/00000001.segment");
    let mut bytes = std::fs::read(&segment).unwrap();
    let whole = bytes.len();
    bytes.extend_from_slice(&content(9, 700));
    std::fs::write(&segment, &bytes).unwrap();
    // A block that was being received when the process was killed: no header yet.
    let half = directory.path().join("own/00000001").join(format!("0001-{}", id(3)));
    std::fs::write(&half, vec![0; 10_000]).unwrap();

    let volume = open();
    assert_eq!(volume.recovery().torn_bytes, 700);
    assert_eq!(volume.recovery().dropped, 1);
    assert_eq!(std::fs::metadata(&segment).unwrap().len(), whole as u64);
    assert!(!half.exists());
    block_on(put(&volume, id(4), &content(4, 1000))).unwrap();
    for (n, length) in [(1, 1000), (2, 50_000), (4, 1000)] {
        assert_eq!(read(&volume, id(n)).unwrap(), content(n.into(), length));
    }
}

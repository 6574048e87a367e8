//! The order of mutations. Each advances the manual clock by its duration, and records when it ran.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cairn_protocol::env::{Env, ManualClock, Timestamp};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::unconstrained;

use super::super::tests::{names, put};
use super::super::{Store, StoreError, sql};
use super::Lane;

const MS: Duration = Duration::from_millis(1);

/// The mutations that ran, each with the number of its transaction.
type Ran = Vec<(&'static str, u32, u64)>;

/// A store, its clock, and the mutations that ran.
struct Stage {
    store: Store,
    clock: ManualClock,
    ran: Arc<Mutex<Ran>>,
    _directory: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (env, clock) = Env::manual(1, Timestamp(1));
        let store = Store::open(&directory.path().join("metanode.db"), &env).await.unwrap();
        Self { store, clock, ran: Arc::default(), _directory: directory }
    }

    /// Sends a mutation, which waits in its queue from now on and takes `takes` when it runs.
    fn send(&self, lane: Lane, name: &'static str, number: u32, takes: Duration) -> BoxFuture<'static, ()> {
        let (clock, ran, ended) = (self.clock.clone(), self.ran.clone(), self.store.transactions_ended());
        let store = self.store.clone();
        // Many are sent at once; tokio's cooperative budget would otherwise leave some of them unsent.
        let mut sent = unconstrained(async move {
            let run = store.writer.write(lane, move |_| {
                async move {
                    clock.advance(takes);
                    ran.lock().unwrap().push((name, number, *ended.borrow()));
                    Ok::<_, StoreError>(())
                }
                .boxed()
            });
            run.await.unwrap();
        })
        .boxed();
        assert!((&mut sent).now_or_never().is_none(), "it is in its queue");
        sent
    }

    /// Blocks the writer in the middle of a mutation, until the sender is used or dropped.
    async fn hold(&self, lane: Lane, takes: Duration) -> (oneshot::Sender<()>, BoxFuture<'static, ()>) {
        let (began, beginning) = oneshot::channel();
        let (let_go, held) = oneshot::channel::<()>();
        let (clock, store) = (self.clock.clone(), self.store.clone());
        let mut sent = async move {
            let run = store.writer.write(lane, move |_| {
                async move {
                    let _ = began.send(());
                    let _ = held.await;
                    clock.advance(takes);
                    Ok::<_, StoreError>(())
                }
                .boxed()
            });
            run.await.unwrap();
        }
        .boxed();
        assert!((&mut sent).now_or_never().is_none());
        beginning.await.unwrap();
        (let_go, sent)
    }

    fn ran(&self) -> Ran {
        self.ran.lock().unwrap().clone()
    }

    fn names(&self) -> Vec<(&'static str, u32)> {
        self.ran().into_iter().map(|(name, number, _)| (name, number)).collect()
    }
}

/// A transaction was limited only by the number of its mutations, 256. That many DeleteObjects of 1,000 keys each made
/// one transaction, and all other writes waited for 12.5 seconds.
#[tokio::test]
async fn a_transaction_is_closed_by_its_duration_and_the_rest_keeps_its_order() {
    let stage = Stage::new().await;
    let (let_go, held) = stage.hold(Lane::Client, Duration::ZERO).await;
    let sent: Vec<_> = (0..8).map(|number| stage.send(Lane::Client, "client", number, 4 * MS)).collect();
    let_go.send(()).unwrap();
    join_all(sent.into_iter().chain([held])).await;
    let ran: Vec<_> = stage.ran().into_iter().map(|(_, number, transaction)| (number, transaction)).collect();
    assert_eq!(ran, [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1), (6, 2), (7, 2)]);
}

#[tokio::test]
async fn a_transaction_is_closed_by_the_number_of_its_mutations_when_they_cost_nothing() {
    let stage = Stage::new().await;
    let (let_go, held) = stage.hold(Lane::Client, Duration::ZERO).await;
    let sent: Vec<_> =
        (0..300).map(|number| stage.send(Lane::Client, "client", number, Duration::ZERO)).collect();
    let_go.send(()).unwrap();
    join_all(sent.into_iter().chain([held])).await;
    assert_eq!(stage.ran().iter().filter(|(_, _, transaction)| *transaction == 0).count(), 255);
}

#[tokio::test]
async fn clients_mutations_run_before_waiting_ones_of_the_background() {
    let stage = Stage::new().await;
    let (let_go, held) = stage.hold(Lane::Client, 10 * MS).await;
    let mut sent: Vec<_> =
        (0..4).map(|number| stage.send(Lane::Background, "background", number, MS)).collect();
    sent.push(stage.send(Lane::Client, "client", 0, MS));
    let_go.send(()).unwrap();
    join_all(sent.into_iter().chain([held])).await;
    // The transaction was full, except for the one mutation of the background that each transaction may have.
    let expected =
        [("background", 0), ("client", 0), ("background", 1), ("background", 2), ("background", 3)];
    assert_eq!(stage.names(), expected);
}

#[tokio::test]
async fn a_client_that_comes_while_the_background_works_is_next_and_ends_the_transaction() {
    let stage = Stage::new().await;
    let (let_go, held) = stage.hold(Lane::Background, MS).await;
    let mut sent: Vec<_> =
        (0..3).map(|number| stage.send(Lane::Background, "background", number, MS)).collect();
    sent.push(stage.send(Lane::Client, "client", 0, MS));
    let_go.send(()).unwrap();
    join_all(sent.into_iter().chain([held])).await;
    assert_eq!(stage.ran()[..2], [("client", 0, 0), ("background", 0, 1)]);
}

#[tokio::test]
async fn the_background_has_its_share_while_clients_never_cease() {
    let stage = Stage::new().await;
    let (let_go, held) = stage.hold(Lane::Client, Duration::ZERO).await;
    let clients = (0..200).map(|number| stage.send(Lane::Client, "client", number, 2 * MS));
    let background = (0..20).map(|number| stage.send(Lane::Background, "background", number, 5 * MS));
    let sent: Vec<_> = clients.chain(background).chain([held]).collect();
    let_go.send(()).unwrap();
    join_all(sent).await;
    let ran = stage.names();
    let in_background: Vec<_> = ran.iter().filter(|(name, _)| *name == "background").collect();
    assert!(in_background.iter().map(|(_, number)| *number).eq(0..20), "{ran:?}");
    // Clients had 400 ms, three times as much as the background in the same time, give or take one transaction each.
    let last_client = ran.iter().rposition(|(name, _)| *name == "client").unwrap();
    let meanwhile = ran[..last_client].iter().filter(|(name, _)| *name == "background").count();
    assert!((15..=20).contains(&meanwhile), "{meanwhile} of {ran:?}");
}

#[tokio::test]
async fn closing_the_store_runs_the_waiting_mutations_of_both_lanes() {
    let stage = Stage::new().await;
    let (let_go, held) = stage.hold(Lane::Client, Duration::ZERO).await;
    let mut sent: Vec<_> = (0..5).map(|number| stage.send(Lane::Client, "client", number, 9 * MS)).collect();
    sent.extend((0..5).map(|number| stage.send(Lane::Background, "background", number, 9 * MS)));
    let store = stage.store.clone();
    let mut closing = Box::pin(async move { store.close().await });
    assert!((&mut closing).now_or_never().is_none());
    let_go.send(()).unwrap();
    join_all(sent.into_iter().chain([held])).await;
    closing.await;
    assert_eq!(stage.ran().len(), 10);
    let late = stage.store.write_in_background(|tx| put(tx, "late".to_owned())).await;
    assert!(matches!(late, Err(StoreError::Closed)));
}

/// A failure rolls back the mutations of its transaction. Those that wait run in the next one.
#[tokio::test]
async fn a_failed_transaction_does_not_fail_the_mutations_that_wait_for_the_next() {
    let stage = Stage::new().await;
    let (let_go, held) = stage.hold(Lane::Client, Duration::ZERO).await;
    let store = stage.store.clone();
    let mut lost = Box::pin(async move {
        store
            .write(|tx| {
                async move {
                    put(&mut *tx, "lost".to_owned()).await?;
                    sql::query("ROLLBACK").execute(tx).await?;
                    Err::<(), _>(StoreError::NoSpace)
                }
                .boxed()
            })
            .await
    });
    assert!((&mut lost).now_or_never().is_none());
    let after = stage.send(Lane::Background, "background", 0, MS);
    let_go.send(()).unwrap();
    assert!(matches!(lost.await, Err(StoreError::NoSpace)));
    drop(held);
    after.await;
    assert_eq!(names(&stage.store).await, Vec::<String>::new());
}

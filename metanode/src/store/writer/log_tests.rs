//! The log is merged in parallel to commits, and stays short while there are readers.

use std::time::Duration;

use cairn_protocol::env::{Env, ManualClock, Timestamp};
use tempfile::TempDir;

use super::super::tests::put;
use super::super::{Snapshot, Store, StoreError, sql};
use super::LogLimits;
use super::checkpointer::{PAUSE_MAX, Progress};

/// 50 pages, 100 pages, and a limit that is never reached.
const LIMITS: LogLimits = LogLimits { transactions: 1, merge: 50 * 4120, restart: 100 * 4120, pay: u64::MAX };

struct Stage {
    store: Store,
    clock: ManualClock,
    directory: TempDir,
    written: u32,
}

impl Stage {
    async fn new(limits: LogLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (env, clock) = Env::manual(1, Timestamp(1));
        let store = Store::open_with(&directory.path().join("metanode.db"), &env, limits).await.unwrap();
        Self { store, clock, directory, written: 0 }
    }

    /// Commits a mutation that makes the log some pages longer.
    async fn write(&mut self) {
        self.written += 1;
        let name = format!("{} {}", self.written, "x".repeat(9_000));
        self.store.write(move |tx| put(tx, name)).await.unwrap();
    }

    /// Commits a mutation that changes nothing.
    async fn write_nothing(&self) {
        self.store.write(|_| Box::pin(async { Ok::<_, StoreError>(()) })).await.unwrap();
        tokio::task::yield_now().await;
    }

    /// Writes until the checkpointer's progress is as wanted.
    async fn write_until(&mut self, wanted: impl Fn(&Progress) -> bool) {
        while !wanted(&self.progress()) {
            self.write().await;
        }
    }

    fn progress(&self) -> Progress {
        *self.store.writer.log.borrow()
    }

    async fn wait_for(&self, wanted: impl Fn(&Progress) -> bool) -> Progress {
        *self.store.writer.log.clone().wait_for(wanted).await.unwrap()
    }

    fn file_length(&self) -> u64 {
        std::fs::metadata(self.directory.path().join("metanode.db-wal")).unwrap().len()
    }

    /// A reader that needs the present end of the log.
    async fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.store.snapshot().await.unwrap();
        sql::query("SELECT COUNT(*) FROM settings").fetch_one(&mut snapshot).await.unwrap();
        snapshot
    }
}

/// SQLite merged the log within commits, and each commit synced twice more while readers overlapped.
#[tokio::test]
async fn the_log_is_merged_and_no_commit_does_it() {
    let mut stage = Stage::new(LIMITS).await;
    let by_commits = stage
        .store
        .write(|tx| {
            Box::pin(async move {
                let row = sql::query("PRAGMA wal_autocheckpoint").fetch_one(tx).await?;
                Ok::<i64, StoreError>(row.get(0))
            })
        })
        .await
        .unwrap();
    assert_eq!(by_commits, 0);
    stage.write_until(|log| log.length.merged > 50).await;
    stage.write_until(|log| log.restarts >= 3).await;
    assert_eq!(stage.progress().busy, 0);
}

#[tokio::test]
async fn the_log_stays_short_while_readers_come_and_go_and_overlap() {
    let mut stage = Stage::new(LIMITS).await;
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let store = stage.store.clone();
            tokio::spawn(async move {
                loop {
                    let mut snapshot = store.snapshot().await.unwrap();
                    for _ in 0..3 {
                        sql::query("SELECT SUM(LENGTH(name)) FROM settings")
                            .fetch_one(&mut snapshot)
                            .await
                            .unwrap();
                    }
                }
            })
        })
        .collect();
    // On a busy machine some readers stay longer than the wait. Advancing the clock ends the pause that follows.
    for restarts in 1..=5 {
        while stage.progress().restarts < restarts {
            stage.write().await;
            stage.clock.advance(PAUSE_MAX);
        }
    }
    for reader in readers {
        reader.abort();
        assert!(reader.await.unwrap_err().is_cancelled());
    }
    let before = stage.progress().restarts;
    stage.write_until(|log| log.restarts > before).await;
    stage.write().await;
    assert!(stage.file_length() > 0);
    // The log restarted, and SQLite truncated the file that had grown.
    assert!(stage.file_length() <= LIMITS.restart, "{}", stage.file_length());
}

#[tokio::test]
async fn the_log_restarts_after_a_pause_when_a_long_reader_is_gone() {
    let mut stage = Stage::new(LIMITS).await;
    let reader = stage.snapshot().await;
    stage.write_until(|log| log.busy > 0).await;
    let busy = stage.progress();
    // During the pause, commits make the task check the log's length but not wait for readers.
    for _ in 0..20 {
        stage.write().await;
    }
    let pages = busy.length.pages;
    let looked = stage.wait_for(|log| log.length.pages > pages + 20).await;
    assert_eq!((looked.busy, looked.restarts), (1, 0));
    assert!(stage.file_length() > LIMITS.restart);
    drop(reader);
    stage.clock.advance(Duration::from_secs(1));
    stage.wait_for(|log| log.restarts == 1).await;
    // Until the next commit, the log looks as long as before. It was made ready to restart again and again, and each time the writer
    // waited.
    for _ in 0..5 {
        stage.write_nothing().await;
    }
    stage.write().await;
    let begun_anew = stage.wait_for(|log| log.length.pages < pages).await;
    assert_eq!(begun_anew.restarts, 1);
}

#[tokio::test]
async fn writes_go_on_beside_a_reader_that_never_ends() {
    let mut stage = Stage::new(LogLimits { pay: LIMITS.restart, ..LIMITS }).await;
    let _reader = stage.snapshot().await;
    stage.write_until(|log| log.busy > 0).await;
    for busy in 2..=3 {
        stage.clock.advance(Duration::from_secs(1));
        stage.wait_for(|log| log.busy >= busy).await;
        stage.write().await;
    }
}

#[tokio::test]
async fn a_long_log_that_a_crash_left_is_merged_at_the_start() {
    let mut stage = Stage::new(LogLimits { merge: u64::MAX, restart: u64::MAX, ..LIMITS }).await;
    stage.write_until(|log| log.length.pages > 200).await;
    let copy = tempfile::tempdir().unwrap();
    for file in ["metanode.db", "metanode.db-wal"] {
        std::fs::copy(stage.directory.path().join(file), copy.path().join(file)).unwrap();
    }
    let file = copy.path().join("metanode.db");
    let store = Store::open_with(&file, &Env::system(), LIMITS).await.unwrap();
    store.writer.log.clone().wait_for(|log| log.restarts == 1).await.unwrap();
    store.write(|tx| put(tx, "after".to_owned())).await.unwrap();
    assert!(std::fs::metadata(copy.path().join("metanode.db-wal")).unwrap().len() <= LIMITS.restart);
}

//! Group commit for directories: all threads that request a sync before an `fsync` begins share it.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

use super::error::is_shortage;

/// Shares the runs of a sync among threads. A thread needs a run that begins after its request, because an earlier run may have
/// missed its change. Blocks its thread.
#[derive(Debug, Default)]
pub(crate) struct GroupSync {
    state: Mutex<SyncState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    /// Runs begun so far; the newest one has this number.
    begun: u64,
    /// The newest run that succeeded.
    done: u64,
    running: bool,
    /// Why a run failed. A second `fsync` that succeeds proves nothing, so there is none.
    failed: Option<String>,
}

impl GroupSync {
    /// Returns once a run of `sync` that began after this call has succeeded. After a failed run, this and all later calls get its
    /// error.
    pub(crate) fn run(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = state.begun + 1;
        while state.running && state.done < needed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(failed) = &state.failed {
            return Err(io::Error::other(failed.clone()));
        }
        if state.done >= needed {
            return Ok(());
        }
        state.running = true;
        state.begun += 1;
        let run = state.begun;
        drop(state);
        let result = sync();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = false;
        match &result {
            Ok(()) => state.done = run,
            // The directory could not be opened, so no sync was tried. Each thread that waits tries by itself.
            Err(error) if is_shortage(error) => {}
            Err(error) => state.failed = Some(error.to_string()),
        }
        self.changed.notify_all();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    #[test]
    fn threads_that_ask_while_a_run_is_under_way_share_the_next_one() {
        let group = Arc::new(GroupSync::default());
        let runs = Arc::new(AtomicU32::new(0));
        let (release, gate) = mpsc::channel::<()>();
        let (entered, is_in) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let first = (group.clone(), runs.clone());
            scope.spawn(move || {
                let counted = || {
                    entered.send(()).unwrap();
                    gate.recv().unwrap();
                    first.1.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                };
                first.0.run(counted).unwrap();
            });
            is_in.recv().unwrap();
            for _ in 0..8 {
                scope.spawn(|| {
                    let counted = || {
                        runs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    };
                    group.run(counted).unwrap();
                });
            }
            release.send(()).unwrap();
        });
        // At least one more after the first; eight only if each came when the one before had ended.
        let runs = runs.load(Ordering::SeqCst);
        assert!((2..=9).contains(&runs), "{runs}");
        assert!(group.state.lock().unwrap().begun == u64::from(runs));
    }

    #[test]
    fn a_failed_run_is_never_tried_again() {
        let group = GroupSync::default();
        group.run(|| Err(io::Error::other("broken"))).unwrap_err();
        let again = group.run(|| Ok(())).unwrap_err();
        assert_eq!(again.to_string(), "broken");
    }
}

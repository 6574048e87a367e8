//! The two queues of mutations, and the rule for which one is served next.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::batch::Batch;
use super::lane::Lane;
use super::mutation::Mutation;

/// Mutations that may wait in a lane. Further callers wait for a place, which slows down their own callers in turn.
const QUEUE_MAX: usize = 1024;

/// After a mutation of the background, waiting clients have the writer for this many times the duration of that
/// mutation. The background thus keeps a quarter of the writer's time, however many clients there are.
const CLIENTS_SHARE: u32 = 3;

/// Upper limit of the time for clients after a mutation of the background. Very long mutations are rare, and one must
/// not stop the background for many times its duration.
const CLIENTS_TIME_MAX: Duration = Duration::from_millis(100);

/// Transactions that may pass while the background waits, independent of the clock.
const PASSED_OVER_MAX: u32 = 16;

/// The sending ends of the queues. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Entrances {
    clients: mpsc::Sender<Box<dyn Mutation>>,
    background: mpsc::Sender<Box<dyn Mutation>>,
    close: mpsc::Sender<oneshot::Sender<()>>,
}

impl Entrances {
    /// Waits for a place in the lane. Returns `false` when the writer is closed.
    pub(super) async fn enter(&self, lane: Lane, mutation: Box<dyn Mutation>) -> bool {
        let queue = match lane {
            Lane::Client => &self.clients,
            Lane::Background => &self.background,
        };
        queue.send(mutation).await.is_ok()
    }

    /// Refuses further mutations, and waits until those that wait have run.
    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.close.send(reply).await.is_ok() {
            // An error means that the writer has ended, which is what the caller wants.
            let _ = closed.await;
        }
    }
}

/// The receiving ends of the queues. Within a lane mutations leave in the order in which they came.
pub(super) struct Lanes {
    clients: mpsc::Receiver<Box<dyn Mutation>>,
    background: mpsc::Receiver<Box<dyn Mutation>>,
    close: mpsc::Receiver<oneshot::Sender<()>>,
    /// The callers of [`Entrances::close`], who wait for the writer's end.
    closing: Vec<oneshot::Sender<()>>,
    shares: Shares,
}

impl Lanes {
    /// Two empty queues.
    pub(super) fn new() -> (Entrances, Self) {
        let (to_clients, clients) = mpsc::channel(QUEUE_MAX);
        let (to_background, background) = mpsc::channel(QUEUE_MAX);
        let (to_close, close) = mpsc::channel(1);
        let entrances = Entrances { clients: to_clients, background: to_background, close: to_close };
        let lanes = Self { clients, background, close, closing: Vec::new(), shares: Shares::default() };
        (entrances, lanes)
    }

    /// Waits for the mutation that begins the next transaction; `None` when the queues are closed and empty.
    pub(super) async fn first(&mut self) -> Option<(Lane, Box<dyn Mutation>)> {
        loop {
            tokio::select! {
                biased;
                Some(reply) = self.close.recv(), if self.closing.is_empty() => {
                    self.clients.close();
                    self.background.close();
                    self.closing.push(reply);
                }
                Some(mutation) = self.clients.recv() => return Some((Lane::Client, mutation)),
                Some(mutation) = self.background.recv() => return Some((Lane::Background, mutation)),
                else => return None,
            }
        }
    }

    /// The next mutation of this transaction, out of those that wait now. Clients' mutations come first, even if they
    /// arrived while the transaction was open.
    pub(super) fn next(&mut self, batch: &Batch, now: Duration) -> Option<(Lane, Box<dyn Mutation>)> {
        if !batch.is_full(now)
            && let Ok(mutation) = self.clients.try_recv()
        {
            return Some((Lane::Client, mutation));
        }
        let beside_clients = batch.has(Lane::Client) || !self.clients.is_empty();
        let background_may = if beside_clients {
            // Clients wait for this transaction or the next one, so the background adds at most one mutation.
            !batch.has(Lane::Background) && self.shares.is_due(now)
        } else {
            !batch.is_full(now)
        };
        let mutation = background_may.then(|| self.background.try_recv().ok()).flatten()?;
        Some((Lane::Background, mutation))
    }

    /// The next waiting mutation of either lane, without any limit.
    pub(super) fn waiting(&mut self) -> Option<(Lane, Box<dyn Mutation>)> {
        let client = self.clients.try_recv().map(|mutation| (Lane::Client, mutation));
        client.or_else(|_| self.background.try_recv().map(|mutation| (Lane::Background, mutation))).ok()
    }

    /// Records that a mutation of the background ended, and how long it took.
    pub(super) fn background_ran(&mut self, took: Duration, now: Duration) {
        self.shares.background_ran(took, now);
    }

    /// Records that a transaction ended.
    pub(super) fn ended(&mut self, batch: &Batch) {
        let passed_over = !batch.has(Lane::Background) && !self.background.is_empty();
        self.shares.ended(passed_over);
    }

    /// The callers of [`Entrances::close`], who wait for the writer's end.
    pub(super) fn into_closing(self) -> Vec<oneshot::Sender<()>> {
        self.closing
    }
}

/// Decides when the background may use the writer while clients wait.
#[derive(Debug, Default)]
struct Shares {
    /// Until when the writer serves clients only.
    clients_until: Duration,
    /// Transactions since the background's last mutation that passed while the background waited.
    passed_over: u32,
}

impl Shares {
    fn is_due(&self, now: Duration) -> bool {
        now >= self.clients_until || self.passed_over >= PASSED_OVER_MAX
    }

    fn background_ran(&mut self, took: Duration, now: Duration) {
        self.clients_until = now + (took * CLIENTS_SHARE).min(CLIENTS_TIME_MAX);
        self.passed_over = 0;
    }

    fn ended(&mut self, passed_over: bool) {
        self.passed_over = if passed_over { self.passed_over.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_background_has_a_quarter_of_the_time_and_never_waits_for_more_than_some_transactions() {
        let mut shares = Shares::default();
        assert!(shares.is_due(MS));
        shares.background_ran(4 * MS, 10 * MS);
        assert!(!shares.is_due(21 * MS) && shares.is_due(22 * MS));
        shares.background_ran(60_000 * MS, 10 * MS);
        assert!(!shares.is_due(109 * MS) && shares.is_due(110 * MS));
        // While the clock stands still, the number of transactions alone gives the background its turn.
        for _ in 0..PASSED_OVER_MAX {
            assert!(!shares.is_due(10 * MS));
            shares.ended(true);
        }
        assert!(shares.is_due(10 * MS));
        shares.background_ran(4 * MS, 10 * MS);
        assert!(!shares.is_due(10 * MS));
    }
}

//! The metanode's commands: copy a block from another node, make a pack, delete blocks, bring deleted blocks back.
//!
//! Commands wait in queues until workers take them. A command is dropped when its incarnation is over or its deadline has passed: the
//! metanode has planned it again by then, maybe for another node.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_protocol::block::BlockError;
use cairn_protocol::cluster::{Action, Command, CommandResult};
use cairn_protocol::id::BlockId;
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::recent::Moment;
use crate::service::BlockStore;

/// Commands that wait at most. More are dropped, and planned again by the metanode after their deadline.
const QUEUE_MAX: usize = 10_000;

/// Deletes of one command that run at once, so that they share syncs.
const DELETES_AT_ONCE: usize = 64;

/// The commands of the current incarnation.
pub(crate) struct Commands {
    blocks: BlockStore,
    pulls_max: usize,
    queues: Mutex<CommandQueues>,
    arrived: Notify,
}

#[derive(Default)]
struct CommandQueues {
    incarnation: u64,
    pulls: VecDeque<GivenCommand>,
    deletes: VecDeque<GivenCommand>,
    /// The ids of commands that wait or run, because the metanode may send a command twice.
    known: HashSet<u64>,
}

/// A command, and the earliest moment at which it can have been given.
struct GivenCommand {
    command: Command,
    since: Moment,
}

/// The two kinds of work. Each has workers of its own, so that a long copy does not hold up deletes.
#[derive(Clone, Copy, Debug)]
enum WorkKind {
    Pull,
    Delete,
}

impl Commands {
    pub(crate) fn new(blocks: BlockStore, pulls_max: usize) -> Self {
        Self { blocks, pulls_max, queues: Mutex::default(), arrived: Notify::new() }
    }

    /// Drops the commands of earlier incarnations.
    pub(crate) fn begin_incarnation(&self, incarnation: u64) {
        *self.lock() = CommandQueues { incarnation, ..CommandQueues::default() };
    }

    /// Queues the commands in the reply to a heartbeat that was sent at the moment `since`.
    pub(crate) fn accept(&self, incarnation: u64, commands: Vec<Command>, since: Moment) {
        let mut queues = self.lock();
        if queues.incarnation != incarnation {
            return;
        }
        for command in commands {
            if queues.known.len() >= QUEUE_MAX || !queues.known.insert(command.id) {
                continue;
            }
            let queue = match &command.action {
                Action::Replicate { .. } | Action::Pack { .. } => &mut queues.pulls,
                // Deletes and restores share a queue, so that of the two commands for a block the later one is executed last.
                Action::Delete { .. } | Action::Restore { .. } => &mut queues.deletes,
            };
            queue.push_back(GivenCommand { command, since });
        }
        drop(queues);
        self.arrived.notify_waiters();
    }

    /// Executes commands until `shutdown`, then finishes those under way.
    pub(crate) async fn work(self: Arc<Self>, shutdown: CancellationToken) {
        let pullers = (0..self.pulls_max.max(1)).map(|_| WorkKind::Pull);
        let workers = pullers.chain([WorkKind::Delete]).map(|kind| self.worker(kind, &shutdown));
        futures_util::future::join_all(workers).await;
    }

    async fn worker(&self, kind: WorkKind, shutdown: &CancellationToken) {
        loop {
            let next = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                next = self.next(kind) => next,
            };
            self.run(next).await;
        }
    }

    async fn next(&self, kind: WorkKind) -> (u64, GivenCommand) {
        loop {
            let mut arrived = std::pin::pin!(self.arrived.notified());
            arrived.as_mut().enable();
            {
                let mut queues = self.lock();
                let queue = match kind {
                    WorkKind::Pull => &mut queues.pulls,
                    WorkKind::Delete => &mut queues.deletes,
                };
                if let Some(command) = queue.pop_front() {
                    return (queues.incarnation, command);
                }
            }
            arrived.await;
        }
    }

    async fn run(&self, (incarnation, GivenCommand { command, since }): (u64, GivenCommand)) {
        let Command { id, deadline, action, .. } = command;
        let result = if self.blocks.env.now() > deadline {
            Err("its deadline has passed".to_owned())
        } else {
            self.perform(action, since).await.map_err(|error| error.to_string())
        };
        let mut queues = self.lock();
        if queues.incarnation != incarnation {
            return;
        }
        queues.known.remove(&id);
        drop(queues);
        self.blocks.incremental_report.command_finished(CommandResult { command: id, error: result.err() });
    }

    pub(crate) async fn perform(&self, action: Action, since: Moment) -> Result<(), BlockError> {
        match action {
            Action::Replicate { replica, sources } => self.blocks.pull(replica, &sources).await,
            Action::Pack { replica, pieces, nodes } => self.blocks.pack(replica, &pieces, &nodes).await,
            Action::Delete { blocks } => self.delete(blocks, since).await,
            Action::Restore { blocks } => self.restore(blocks).await,
        }
    }

    async fn restore(&self, blocks: Vec<BlockId>) -> Result<(), BlockError> {
        let restores = blocks.into_iter().map(|block| self.blocks.restore(block));
        let results = futures_util::stream::iter(restores).buffer_unordered(DELETES_AT_ONCE);
        results.fold(Ok(()), |all, one| std::future::ready(all.and(one))).await
    }

    /// Deletes blocks, except those that were stored after the command was given.
    async fn delete(&self, blocks: Vec<BlockId>, since: Moment) -> Result<(), BlockError> {
        let deletes = blocks.into_iter().map(|block| self.blocks.remove_older(block, since));
        let results = futures_util::stream::iter(deletes).buffer_unordered(DELETES_AT_ONCE);
        // All deletes are tried, even if one fails.
        results.fold(Ok(()), |all, one| std::future::ready(all.and(one))).await
    }

    fn lock(&self) -> MutexGuard<'_, CommandQueues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

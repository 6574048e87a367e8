//! A session: one incarnation of this node. It begins with a block report of all replicas, and goes on with heartbeats and the
//! rolling report until the metanode asks the node to register again.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cairn_protocol::cluster::{
    Action, BlockReport, ClusterError, Heartbeat, REPORT_PAGE_MAX, Registered, ReplicaChange, ReportedReplica,
};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::BlockId;
use cairn_protocol::warn_peer;
use tokio_util::sync::CancellationToken;

use super::retry::Retry;
use super::rolling_report::RollingReport;
use super::{Control, RefusedError, refusal};
use crate::incremental_report::CHANGES_PER_HEARTBEAT_MAX;
use crate::volume::Volume;
use crate::volume::volumes::Volumes;

/// Bounds of the heartbeat interval that the metanode may ask for: not so short that nodes do nothing else, and not so long that a
/// wrong number keeps a node from sending any.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// How long the last heartbeat of a node that is shutting down may take.
pub(crate) const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// A page of a block report that the metanode has merged.
struct SentPage {
    /// The last block of the page; none for the last page.
    through: Option<BlockId>,
    replicas: u64,
}

/// The last block that an action names.
fn last_block(action: &Action) -> Option<BlockId> {
    match action {
        Action::Restore { blocks } | Action::Delete { blocks } => blocks.iter().max().copied(),
        Action::Replicate { .. } | Action::Pack { .. } => None,
    }
}

/// How a session ends.
pub(crate) enum SessionEnd {
    Shutdown,
    Reregister,
    Refused(RefusedError),
}

/// The result of a call; an error ends the session.
type Step<T> = Result<T, SessionEnd>;

pub(crate) struct Session<'a> {
    control: &'a Control,
    incarnation: u64,
    interval: Duration,
    /// When the next heartbeat is due, by the monotonic clock.
    next_heartbeat: Duration,
    /// When the next page of the rolling report is due.
    rolling_report: RollingReport,
}

impl<'a> Session<'a> {
    pub(crate) fn new(control: &'a Control, registered: Registered) -> Self {
        let interval = Duration::from_millis(registered.heartbeat_interval_ms);
        Self {
            control,
            incarnation: registered.incarnation,
            interval: interval.clamp(INTERVAL_MIN, INTERVAL_MAX),
            next_heartbeat: control.blocks.env.monotonic(),
            rolling_report: RollingReport::new(Duration::from_millis(registered.report_interval_ms)),
        }
    }

    pub(crate) async fn run(&mut self, shutdown: &CancellationToken) -> SessionEnd {
        let exchange = async {
            match self.exchange().await {
                Ok(never) => match never {},
                Err(end) => end,
            }
        };
        let end = tokio::select! {
            biased;
            () = shutdown.cancelled() => SessionEnd::Shutdown,
            end = exchange => end,
        };
        if matches!(end, SessionEnd::Shutdown) {
            self.last_messages().await;
        }
        end
    }

    /// Sends a last heartbeat, and writes down the last state of the database that was seen. One attempt is enough, because
    /// the block report of the next start has the same changes.
    #[expect(clippy::disallowed_methods, reason = "the end of a process takes real time")]
    async fn last_messages(&mut self) {
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, self.heartbeat()).await;
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, self.control.seen_database.flush()).await;
    }

    async fn exchange(&mut self) -> Step<std::convert::Infallible> {
        let reported = self.report().await?;
        self.rolling_report.begin_later(reported, &self.control.blocks.env);
        loop {
            let now = self.control.blocks.env.monotonic();
            let due = self.next_heartbeat.min(self.rolling_report.due()).saturating_sub(now);
            tokio::select! {
                () = self.control.blocks.env.sleep(due) => {}
                () = self.control.blocks.incremental_report.urgent() => {}
            }
            self.heartbeat().await?;
            if self.control.blocks.incremental_report.overflowed() {
                return Err(SessionEnd::Reregister);
            }
            if self.control.blocks.env.monotonic() >= self.rolling_report.due() {
                self.send_rolling_page().await?;
            }
        }
    }

    /// Reports all replicas, page by page, and sends heartbeats in between when they are due. Returns the number of replicas.
    async fn report(&mut self) -> Step<u64> {
        let quarantined = self.control.ask(Volumes::quarantined).await;
        self.control.losses().begin_report(quarantined);
        let (mut after, mut reported) = (None, 0);
        loop {
            let sent = self.send_page(after).await?;
            reported += sent.replicas;
            if self.control.blocks.env.monotonic() >= self.next_heartbeat {
                self.heartbeat().await?;
            }
            match sent.through {
                Some(_) => after = sent.through,
                None => break,
            }
        }
        let blocks = &self.control.blocks;
        tracing::info!(blocks = reported, incarnation = self.incarnation, "reported to the metanode");
        blocks.events.publish(EventKind::NodeReported { node: blocks.node, blocks: reported });
        self.control.reported.send_replace(true);
        Ok(reported)
    }

    /// Sends the next page of the rolling report.
    async fn send_rolling_page(&mut self) -> Step<()> {
        let sent = self.send_page(self.rolling_report.after()).await?;
        self.rolling_report.sent(sent.through, sent.replicas, &self.control.blocks.env);
        Ok(())
    }

    /// Reports the replicas after the block `after`, as many as fit a page. Repeats it until the metanode has merged the page. Each
    /// attempt reads the index again: with the page of an earlier attempt, the metanode would take replicas that were stored since
    /// for missing.
    async fn send_page(&mut self, after: Option<BlockId>) -> Step<SentPage> {
        let mut retry = Retry::new(&self.control.blocks.env, self.control.retry_delay);
        let mut restored_through = None;
        loop {
            let blocks = &self.control.blocks;
            // One more than fits a page, to know whether this is the last page.
            let mut page = self.control.ask(move |volumes| volumes.page(after, REPORT_PAGE_MAX + 1)).await;
            let is_last = page.len() <= REPORT_PAGE_MAX;
            page.truncate(REPORT_PAGE_MAX);
            let through = if is_last { None } else { page.last().map(|(id, _)| *id) };
            let sent = SentPage { through, replicas: page.len() as u64 };
            let replicas = page
                .into_iter()
                .map(|(block, stored)| ReportedReplica { block, length: stored.length, crc32c: stored.crc })
                .collect();
            let report = BlockReport {
                can_restore: true,
                restored_through,
                ..BlockReport::new(blocks.node, self.incarnation, after, through, replicas)
            };
            match self.control.cluster.report_blocks(report).await {
                Ok(None) => return Ok(sent),
                Ok(Some(first)) => {
                    let through = last_block(&first);
                    let now = self.control.blocks.recent.now();
                    if let Err(error) = self.control.commands.perform(first, now).await {
                        warn_peer!(%error, "some deleted blocks could not be brought back");
                    }
                    // The next attempt reports how far blocks were restored, so that the metanode asks for the next ones. An action
                    // without blocks makes no progress, so it waits like an error.
                    restored_through = through.max(restored_through).or(through);
                    if through.is_none() {
                        retry.wait().await;
                    }
                }
                Err(error) => {
                    self.check_error(error)?;
                    retry.wait().await;
                }
            }
            if self.control.blocks.env.monotonic() >= self.next_heartbeat {
                self.heartbeat().await?;
            }
        }
    }

    /// Sends one heartbeat. It is not repeated after an error, because the next one follows soon.
    async fn heartbeat(&mut self) -> Step<()> {
        self.publish_failures();
        let blocks = &self.control.blocks;
        // Taken before the heartbeat is sent: a replica that is stored after this moment may be newer than the commands in the reply.
        let sent = blocks.recent.now();
        let batch = blocks.incremental_report.next_batch();
        let limit = CHANGES_PER_HEARTBEAT_MAX.saturating_sub(batch.blocks());
        let losses = self.control.losses.clone();
        let ask = move |volumes: &Volumes| {
            // Not under the lock, because a disk that hangs does not answer.
            let usage = volumes.usage();
            (usage, losses.lock().unwrap_or_else(PoisonError::into_inner).next(volumes, limit))
        };
        let (usage, lost) = self.control.ask(ask).await;
        let mut changes = batch.changes.clone();
        changes.extend(lost.blocks.iter().copied().map(ReplicaChange::Corrupt));
        let heartbeat = Heartbeat {
            node: blocks.node,
            incarnation: self.incarnation,
            volumes: usage,
            changes,
            finished: batch.finished.clone(),
            scrub: Some(self.control.scrub.progress()),
            seen: self.control.seen_database.seen().generations,
        };
        let replied = self.control.cluster.heartbeat(heartbeat).await;
        self.next_heartbeat = blocks.env.monotonic() + self.interval;
        match replied {
            Ok(reply) => {
                blocks.incremental_report.acknowledged(&batch);
                if lost.is_followed() {
                    self.control.losses().acknowledged(lost);
                    blocks.incremental_report.heartbeat_now();
                }
                self.control.commands.accept(self.incarnation, reply.commands, sent);
                self.control.scrub.set_order(reply.scrub);
                self.control.seen_database.learn(reply.lineage);
                if reply.report {
                    self.rolling_report.at_once();
                }
                Ok(())
            }
            Err(error) => self.check_error(error),
        }
    }

    /// Publishes the failure of each volume once. Its replicas are reported page by page (`losses`).
    fn publish_failures(&self) {
        let blocks = &self.control.blocks;
        let left_out = blocks.volumes.left_out().iter().map(|one| (one.volume, one.reason.clone()));
        let failure = |volume: &Arc<Volume>| Some((volume.id(), volume.failure()?.to_string()));
        for (volume, reason) in left_out.chain(blocks.volumes.volumes().filter_map(failure)) {
            if !self.control.losses().publish(volume) {
                continue;
            }
            blocks.events.publish(EventKind::VolumeFailed { node: blocks.node, volume, reason });
            if blocks.volumes.all_failed() {
                tracing::error!(
                    fault = "peer",
                    "no volume is left: until this node is started with a disk that works, it stores nothing"
                );
            }
        }
    }

    fn check_error(&self, error: ClusterError) -> Step<()> {
        if error == ClusterError::Reregister {
            return Err(SessionEnd::Reregister);
        }
        let error = refusal(error).map_err(SessionEnd::Refused)?;
        warn_peer!(%error, "a call to the metanode failed");
        Ok(())
    }
}

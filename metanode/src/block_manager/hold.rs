//! The hold on deletions, and the reasons for it.
//!
//! A database that was restored from a backup, or copied without its log, lacks what was written since. To it, the
//! blocks of newer objects look like garbage. Nothing is therefore deleted
//!
//! * until every datanode that the database knows has reported or is dead, because any of them may have seen a newer
//!   state;
//! * after a datanode has seen a state that this database never had (`Generation`), or holds more unknown blocks than
//!   interrupted uploads leave behind, until an operator agrees.
//!
//! Everything else continues: objects are read and written, copies are made, and deletions are queued but not ordered.
//!
//! **Which share of unknown blocks is too large.** A healthy node holds some blocks to which nothing refers: those of
//! uploads that were interrupted within the last lease. The limit, [`UNKNOWN_MIN`] blocks and one in [`UNKNOWN_SHARE`],
//! is well above that, and well below what yesterday's database lacks of a cluster in use. Blocks that this process
//! granted do not count: those whose ids lie between its start and now. A node with few blocks never reaches the limit;
//! generations and the datanode's trash protect it.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_protocol::admin::{AdminError, HeldReplicas, HoldCause, HoldReason, HoldStatus, ReleaseHold};
use cairn_protocol::cluster::{Generation, Lineage};
use cairn_protocol::event::EventKind;
use cairn_protocol::id::NodeId;
use cairn_protocol::warn_peer;
use futures_util::FutureExt;

use super::Inner;
use super::soft_state::{Consent, Gate, Hold};
use crate::store::settings::{self, Decision};
use crate::store::totals::{self, NodeTotals};
use crate::store::{Connection, StoreError};

/// More unknown blocks of one node than this may be too many: 800 MiB in blocks of the default size, which is more than a
/// crashed gateway with the default memory for uploads leaves on one node.
const UNKNOWN_MIN: u64 = 100;

/// They are too many only if they are also more than one in this many of the node's blocks.
const UNKNOWN_SHARE: u64 = 20;

/// Whether this many unknown blocks of a node are a sign of an old database.
fn too_many(unknown: u64, reported: u64) -> bool {
    unknown > UNKNOWN_MIN && unknown.saturating_mul(UNKNOWN_SHARE) > reported
}

impl Inner {
    /// The generation of the database, for datanodes.
    pub(super) fn lineage(&self) -> Lineage {
        let soft_state = self.soft_state();
        let latest = self.store.generation().or(soft_state.holding.latest);
        Lineage { latest, sole: soft_state.holding.hold.is_none() }
    }

    /// Compares the generations that a node has seen with this database. If it has seen one that this database never
    /// had, deletions are held from now on, even if this returns an error.
    ///
    /// # Errors
    /// When the hold could not be written to SQL; the node has to call again.
    pub(super) async fn look_at_seen(&self, node: NodeId, seen: &[Generation]) -> Result<(), StoreError> {
        let mut news = None;
        {
            let mut soft_state = self.soft_state();
            let latest = self.store.generation().or(soft_state.holding.latest);
            for seen in seen
                .iter()
                .filter(|seen| soft_state.holding.is_foreign(**seen, latest))
                .copied()
                .collect::<Vec<_>>()
            {
                let cause = HoldCause::UnknownGeneration { seen };
                news = soft_state.holding.add(HoldReason { node, at: self.env.now(), cause }).or(news);
            }
        }
        self.keep_hold(node, news).await
    }

    /// Checks the number of unknown blocks that a node reported. Returns whether they are too many; then deletions are
    /// held from now on.
    ///
    /// # Errors
    /// When the hold could not be written to SQL. Deletions are held all the same, until a restart.
    pub(super) async fn look_at_unknown(
        &self,
        node: NodeId,
        unknown: u64,
        reported: u64,
    ) -> Result<bool, StoreError> {
        if !too_many(unknown, reported) {
            return Ok(false);
        }
        let cause = HoldCause::UnknownBlocks { unknown, reported };
        let news = self.soft_state().holding.add(HoldReason { node, at: self.env.now(), cause });
        self.keep_hold(node, news).await?;
        Ok(true)
    }

    async fn keep_hold(&self, node: NodeId, news: Option<Hold>) -> Result<(), StoreError> {
        let Some(hold) = news else {
            return Ok(());
        };
        warn_peer!(
            %node,
            reasons = ?hold.reasons,
            "this database may be older than what a datanode holds: nothing is deleted until an operator agrees; \
             `cairn admin hold status` tells more"
        );
        self.events.publish(EventKind::DeletionsHeld { node });
        self.store.write(move |tx| keep_newest(tx, hold).boxed()).await
    }

    /// Whether deletions are held, and how much they would delete.
    pub(super) async fn hold_status(&self) -> Result<HoldStatus, StoreError> {
        let mut reader = self.store.read().await?;
        let queued = totals::deletions(&mut reader).await?;
        drop(reader);
        Ok(self.held(&queued))
    }

    fn held(&self, queued: &HashMap<NodeId, NodeTotals>) -> HoldStatus {
        let mut soft_state = self.soft_state();
        let gate = soft_state.gate(self.env.monotonic());
        let Some(hold) = soft_state.holding.hold.clone() else {
            let awaited = if gate == Gate::Waiting { soft_state.awaited() } else { Vec::new() };
            return HoldStatus { awaited, ..HoldStatus::default() };
        };
        let nodes = soft_state.nodes.iter().map(|(node, known)| HeldReplicas {
            node,
            blocks: known.report.unknown().blocks,
            bytes: known.report.unknown().bytes,
            reported: known.report.replicas(),
            queued: queued.get(&node).map_or(0, |queued| queued.replicas),
        });
        HoldStatus {
            since: Some(hold.since),
            revision: hold.revision,
            reasons_in_all: hold.revision,
            reasons: hold.reasons,
            awaited: soft_state.awaited(),
            nodes: nodes.filter(|node| node.blocks + node.queued > 0).collect(),
        }
    }

    /// Releases the hold: an operator agrees to delete what this database does not know. Returns the status from
    /// before.
    pub(super) async fn release_hold(
        self: &Arc<Self>,
        request: ReleaseHold,
    ) -> Result<HoldStatus, AdminError> {
        let status = self.hold_status().await?;
        if request.dry_run {
            return Ok(status);
        }
        if !status.is_held() {
            return Err(AdminError::Refused { reason: "deletions are not held".to_owned() });
        }
        let _decisions = self.decisions.write().await;
        let consent = {
            let soft_state = self.soft_state();
            let Some(hold) =
                soft_state.holding.hold.as_ref().filter(|hold| hold.revision == request.revision)
            else {
                let reason =
                    "more has become known since; look at `cairn admin hold status` again".to_owned();
                return Err(AdminError::Refused { reason });
            };
            let mut consent = soft_state.holding.consent.clone();
            consent.openings.extend(&hold.openings);
            let told = soft_state.nodes.iter().filter(|(_, node)| node.has_reported());
            consent.nodes.extend(told.map(|(node, _)| (node, self.env.now())));
            consent
        };
        let written = consent.clone();
        self.store.write(move |tx| release(tx, written).boxed()).await?;
        let newer = {
            let mut soft_state = self.soft_state();
            soft_state.holding.agreed.extend(consent.nodes.keys());
            soft_state.holding.consent = consent;
            // Unknown replicas were only counted while deletions were held. The reports name them again.
            soft_state.nodes.ask_for_reports();
            let hold = soft_state.holding.hold.take();
            // A reason that came after the operator looked still holds deletions.
            soft_state.holding.hold = hold.filter(|hold| hold.revision > request.revision);
            soft_state.holding.hold.clone()
        };
        if let Some(hold) = newer {
            self.store.write(move |tx| keep_newest(tx, hold).boxed()).await?;
        }
        tracing::warn!(fault = "peer", "an operator agreed to give up what this database does not know");
        self.events.publish(EventKind::DeletionsReleased);
        Ok(status)
    }
}

/// Writes a hold to SQL, unless a later revision is there: two revisions may be written in the wrong order.
async fn keep_newest(tx: &mut Connection, hold: Hold) -> Result<(), StoreError> {
    let kept: Option<Hold> = settings::decided(tx, Decision::Hold).await?;
    if kept.is_none_or(|kept| kept.revision < hold.revision) {
        settings::decide(tx, Decision::Hold, hold).await?;
    }
    Ok(())
}

async fn release(tx: &mut Connection, consent: Consent) -> Result<(), StoreError> {
    settings::undecide(tx, Decision::Hold).await?;
    settings::decide(tx, Decision::Consent, consent).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_unknown_blocks_or_a_small_share_of_many_are_not_too_many() {
        assert!(!too_many(0, 0) && !too_many(100, 100) && !too_many(100_000, 2_000_000));
        assert!(too_many(101, 101) && too_many(100_001, 2_000_000));
    }
}

//! Which changes need a transaction. Nearly all that datanodes report is known, and a look-up tells so.

use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::id::NodeId;

use super::Change;
use super::abandon;
use super::publish::{Effect, Effects};
use super::verdict::{Verdict, judge};
use crate::block_manager::Inner;
use crate::store::StoreError;

/// Changes, by what is to be done.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// What follows from those that SQL knows already.
    pub(super) expected: Effects,
    /// Those that need a transaction, in their order.
    pub(super) to_write: Vec<Change>,
    /// Replicas of blocks to which nothing refers, and nothing can any more.
    pub(super) unreferenced: Vec<ReportedReplica>,
}

/// Looks up what the changes say of their blocks.
pub(super) async fn sift(inner: &Inner, node: NodeId, changes: Vec<Change>) -> Result<Sifted, StoreError> {
    let judged = judge_all(inner, node, changes).await?;
    let having = |wanted: Verdict| {
        let replicas = judged.iter().filter(move |(_, verdict)| *verdict == Some(wanted));
        replicas.map(|(change, _)| change.replica()).collect::<Vec<_>>()
    };
    let (mut unreferenced, from_the_future) = (having(Verdict::Abandoned), having(Verdict::FromTheFuture));
    let may_abandon = abandon::may_abandon(inner, node, &unreferenced).await?;
    let may_lease = abandon::may_lease(inner, node, &from_the_future);
    // Ids of a time that is yet to come are what an older database sees of blocks that were written since.
    unreferenced.extend(from_the_future);
    let mut sifted = Sifted { unreferenced, ..Sifted::default() };
    for (change, verdict) in judged {
        match verdict {
            None | Some(Verdict::Unlisted | Verdict::Wrong) => sifted.to_write.push(change),
            Some(Verdict::Expected) => sifted.expected.push(Effect::Kept(change.block())),
            Some(Verdict::Doomed) => {}
            Some(Verdict::Abandoned) => sifted.to_write.extend(may_abandon.then_some(change)),
            Some(Verdict::FromTheFuture) => sifted.to_write.extend(may_lease.then_some(change)),
            Some(Verdict::Leased(until)) => inner.soft_state().remember_orphan(node, &change, until),
        }
    }
    Ok(sifted)
}

/// Each change with its verdict; without one where a look-up tells nothing.
async fn judge_all(
    inner: &Inner,
    node: NodeId,
    changes: Vec<Change>,
) -> Result<Vec<(Change, Option<Verdict>)>, StoreError> {
    let mut judged = Vec::with_capacity(changes.len());
    let mut reader = None;
    for change in changes {
        let verdict = match change {
            Change::Stored(_) | Change::Held(_) | Change::Corrupt(_) => {
                let reader = match &mut reader {
                    Some(reader) => reader,
                    none => none.insert(inner.store.read_in_background().await?),
                };
                Some(judge(inner, reader, node, &change).await?)
            }
            Change::Suspected(..) | Change::Missing(_) | Change::Surplus(_) | Change::Deleted(_) => None,
        };
        judged.push((change, verdict));
    }
    Ok(judged)
}

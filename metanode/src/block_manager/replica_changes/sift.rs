//! Finds the changes that need a transaction. A look-up shows that nearly all reported replicas are known.

use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::id::NodeId;

use super::Change;
use super::abandon;
use super::publish::{Effect, Effects};
use super::verdict::{Verdict, judge};
use crate::block_manager::Inner;
use crate::store::StoreError;

/// Changes, by how they are handled.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// The effects of changes that SQL has already.
    pub(super) expected: Effects,
    /// Changes that need a transaction, in order.
    pub(super) to_write: Vec<Change>,
    /// Replicas of blocks to which nothing refers and nothing can refer any more.
    pub(super) unreferenced: Vec<ReportedReplica>,
}

/// Compares the changes with SQL.
pub(super) async fn sift(inner: &Inner, node: NodeId, changes: Vec<Change>) -> Result<Sifted, StoreError> {
    let judged = judge_all(inner, node, changes).await?;
    let having = |wanted: Verdict| {
        let replicas = judged.iter().filter(move |(_, verdict)| *verdict == Some(wanted));
        replicas.map(|(change, _)| change.replica()).collect::<Vec<_>>()
    };
    let (mut unreferenced, from_the_future) = (having(Verdict::Abandoned), having(Verdict::FromTheFuture));
    let may_abandon = abandon::may_abandon(inner, node, &unreferenced).await?;
    let may_lease = abandon::may_lease(inner, node, &from_the_future);
    // To an older database, blocks that were written since have ids in the future.
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

/// Each change with its verdict, or without one if its kind always needs a transaction.
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

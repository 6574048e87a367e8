//! What a node says that it holds, against what SQL knows.

use std::collections::HashSet;
use std::sync::Arc;

use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::env::Timestamp;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId};
use cairn_protocol::warn_peer;
use futures_util::FutureExt;

use crate::blocks::hold::Gate;
use crate::blocks::memory::Memory;
use crate::blocks::nodes::{Node, Unknown};
use crate::blocks::orphans::Held;
use crate::blocks::{Inner, attention};
use crate::store::leases::{self, Lease};
use crate::store::{Connection, StoreError, blocks, deletions};

/// Replicas that are looked at in one mutation, some milliseconds: it bounds how long others wait for it.
const REPLICAS_PER_WRITE: usize = 15;

/// Where it is known from that a node holds a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::blocks) enum Found {
    /// It was stored just now: it is good, whatever was thought of the node's copy before.
    Increment,
    /// It is in a report, or was seen before: a copy that is suspect stays so.
    Report,
    /// The node found it damaged, or lost it.
    Damaged,
}

/// What SQL says of one replica that a node holds.
enum Known {
    /// It is expected, and right.
    Expected,
    /// Its block is known, and it was not expected.
    Unlisted,
    /// Its length or checksum is not the block's.
    Wrong,
    /// Nobody refers to it, and it is queued for deletion.
    Doomed,
    /// Nobody refers to it, and nobody can any more.
    Abandoned,
    /// Nobody refers to it yet; to be looked at again at that time.
    Leased(Timestamp),
    /// Nobody refers to it, and its id does not tell its age.
    Timeless,
}

/// What became of replicas that a node holds.
#[derive(Debug, Default)]
pub(in crate::blocks) struct Reconciled {
    /// Blocks of which it has a good copy that counts.
    pub(in crate::blocks) kept: HashSet<BlockId>,
    /// Replicas that nobody refers to, and nobody can any more. They are given up, or will be when that is possible. Those
    /// whose ids are of a time that is yet to come are given up when a lease from now on is over.
    pub(in crate::blocks) unknown: Vec<ReportedReplica>,
}

/// Brings SQL in line with replicas that `node` holds.
pub(in crate::blocks) async fn reconcile(
    inner: &Arc<Inner>,
    node: NodeId,
    replicas: Vec<ReportedReplica>,
    found: Found,
) -> Result<Reconciled, StoreError> {
    let mut reconciled = Reconciled::default();
    let (mut odd, mut timeless) = (Vec::new(), Vec::new());
    if replicas.is_empty() {
        return Ok(reconciled);
    }
    let mut reader = inner.store.read_in_background().await?;
    for replica in replicas {
        // Nearly all are as expected; only the others need a transaction.
        match look_up(inner, &mut reader, node, &replica, found).await? {
            Known::Expected => drop(reconciled.kept.insert(replica.block)),
            Known::Doomed => {}
            Known::Leased(until) => inner.memory().remember_orphan(node, replica, found, until),
            Known::Unlisted | Known::Wrong => odd.push(replica),
            Known::Timeless => timeless.push(replica),
            Known::Abandoned => reconciled.unknown.push(replica),
        }
    }
    drop(reader);
    if may_give_up(inner, node, &reconciled.unknown).await? {
        odd.extend(&reconciled.unknown);
    }
    if inner.memory().is_held() {
        put_off(inner, &mut inner.memory(), node, &timeless);
    } else {
        odd.extend(&timeless);
    }
    // Ids of a time that is yet to come are what an older database sees of blocks that were written since.
    reconciled.unknown.append(&mut timeless);
    for page in odd.chunks(REPLICAS_PER_WRITE) {
        let (shared, page) = (inner.clone(), page.to_vec());
        let changes = inner
            .store
            .write_in_background(move |tx| async move { apply(&shared, tx, node, page, found).await }.boxed())
            .await?;
        tell(inner, node, changes, &mut reconciled.kept);
    }
    Ok(reconciled)
}

/// Whether these replicas may be given up, to which nobody refers. If not, they are looked at again later: when all nodes
/// have reported, or, while deletions are held, when an operator agreed and the node reports anew.
async fn may_give_up(inner: &Inner, node: NodeId, unknown: &[ReportedReplica]) -> Result<bool, StoreError> {
    if unknown.is_empty() {
        return Ok(false);
    }
    let (strange, in_all, reported) = {
        let mut memory = inner.memory();
        if !is_open(inner, &mut memory, node) {
            put_off(inner, &mut memory, node, unknown);
            return Ok(false);
        }
        let strange =
            memory.count_strange(node, unknown.iter().map(|replica| replica.block), inner.env.now());
        let Some(known) = memory.nodes.get(node) else { return Ok(false) };
        (strange, known.report.given_up + strange, known.report.replicas())
    };
    if strange == 0 {
        return Ok(true);
    }
    let too_many = inner.look_at_unknown(node, in_all, reported).await?;
    let mut memory = inner.memory();
    if too_many {
        put_off(inner, &mut memory, node, unknown);
    } else if let Some(known) = memory.nodes.get_mut(node) {
        known.report.given_up = in_all;
    }
    Ok(!too_many)
}

/// Whether what a node holds may be given up.
fn is_open(inner: &Inner, memory: &mut Memory, node: NodeId) -> bool {
    let has_reported = memory.nodes.get(node).is_some_and(Node::has_reported);
    has_reported && memory.gate(inner.env.monotonic()) == Gate::Open
}

fn put_off(inner: &Inner, memory: &mut Memory, node: NodeId, unknown: &[ReportedReplica]) {
    let (is_held, now) = (memory.is_held(), inner.env.now());
    let Some(known) = memory.nodes.get_mut(node) else { return };
    if is_held {
        // How many there are is told to operators; which, the node tells once more when it matters.
        known.report.add_unknown(Unknown::of(unknown));
    } else if !known.has_reported() {
        known.report.put_off(unknown);
    } else {
        // The worker that looks at orphans waits for the other nodes' reports too.
        for replica in unknown {
            memory.remember_orphan(node, *replica, Found::Report, now);
        }
    }
}

impl Memory {
    /// A node said something of a replica that nobody has committed; to be looked at again when `due`.
    pub(in crate::blocks) fn remember_orphan(
        &mut self,
        node: NodeId,
        replica: ReportedReplica,
        found: Found,
        due: Timestamp,
    ) {
        let Some(incarnation) = self.nodes.get(node).map(|node| node.incarnation) else { return };
        self.orphans.add(node, Held { replica, incarnation, good: found != Found::Damaged }, due);
    }
}

/// What a transaction did.
#[derive(Default)]
struct Changes {
    kept: Vec<BlockId>,
    bad: Vec<BlockId>,
    abandoned: Vec<ReportedReplica>,
}

/// Looks again, now that nothing can change meanwhile, and does what is needed.
async fn apply(
    inner: &Inner,
    tx: &mut Connection,
    node: NodeId,
    replicas: Vec<ReportedReplica>,
    found: Found,
) -> Result<Changes, StoreError> {
    let mut changes = Changes::default();
    // It may have been removed since it said so, and then nothing of it must be left.
    if inner.memory().nodes.get(node).is_none() {
        return Ok(changes);
    }
    for replica in replicas {
        let block = replica.block;
        match look_up(inner, tx, node, &replica, found).await? {
            Known::Expected => changes.kept.push(block),
            Known::Unlisted => {
                // What is about to be deleted does not count, and will not be there for long.
                if !deletions::is_queued(tx, node, block).await? {
                    attention::add_replica(inner, tx, block, node).await?;
                    changes.kept.push(block);
                }
            }
            Known::Wrong => {
                if attention::add_bad_replica(inner, tx, block, node).await? {
                    changes.bad.push(block);
                }
            }
            Known::Doomed => {}
            // Something may have become known meanwhile.
            Known::Abandoned if !is_open(inner, &mut inner.memory(), node) => {}
            Known::Abandoned => {
                leases::give_up(tx, block, inner.clock.grants_end(inner.env.now())).await?;
                if deletions::queue(tx, node, block, replica.length, inner.env.now()).await? {
                    changes.abandoned.push(replica);
                }
            }
            Known::Leased(until) => inner.memory().remember_orphan(node, replica, found, until),
            Known::Timeless => {
                let until = inner.clock.grants_end(inner.env.now());
                leases::set(tx, block, Lease::Renewed(until)).await?;
                let over = until.after(inner.config.lease_slack);
                inner.memory().remember_orphan(node, replica, found, over.after(JUST_AFTER));
            }
        }
    }
    Ok(changes)
}

fn tell(inner: &Inner, node: NodeId, changes: Changes, kept: &mut HashSet<BlockId>) {
    kept.extend(changes.kept);
    for block in changes.bad {
        warn_peer!(%node, %block, "a datanode holds a replica of the wrong length or checksum");
        inner.events.publish(EventKind::ReplicaCorrupt { block, node });
    }
    for replica in changes.abandoned {
        inner.memory().nodes.deletion_queued(node, replica.length);
        inner.events.publish(EventKind::GrantAbandoned { block: replica.block });
    }
}

async fn look_up(
    inner: &Inner,
    connection: &mut Connection,
    node: NodeId,
    replica: &ReportedReplica,
    found: Found,
) -> Result<Known, StoreError> {
    let Some(copies) = blocks::find(connection, replica.block).await? else {
        return unknown(inner, connection, node, replica.block).await;
    };
    let good = copies.holders.iter().find(|(holder, _)| *holder == node).map(|(_, good)| *good);
    let right = copies.block.length == replica.length && copies.block.crc32c == replica.crc32c;
    Ok(match (good, right) {
        (Some(true), true) => Known::Expected,
        // It was queued for work when it was found bad; nothing is new.
        (Some(false), false) => Known::Expected,
        (Some(false), true) if found != Found::Increment => Known::Expected,
        (Some(false) | None, true) => Known::Unlisted,
        (Some(true) | None, false) => Known::Wrong,
    })
}

/// A block that nobody refers to: is its lease over?
async fn unknown(
    inner: &Inner,
    connection: &mut Connection,
    node: NodeId,
    block: BlockId,
) -> Result<Known, StoreError> {
    let Some(created_at) = block.created_at_ms().map(Timestamp) else {
        warn_peer!(%node, %block, "a datanode holds a block whose id no metanode made; it is left alone");
        return Ok(Known::Expected);
    };
    if deletions::is_queued(connection, node, block).await? {
        return Ok(Known::Doomed);
    }
    let lease = match leases::find(connection, block).await? {
        Some(Lease::GivenUp(_)) => return Ok(Known::Abandoned),
        // The id is of a time that is yet to come, so the lease began when the block was found.
        Some(Lease::Renewed(until)) if created_at > inner.env.now() => until,
        None if created_at > inner.env.now() => return Ok(Known::Timeless),
        Some(Lease::Renewed(until)) => until.max(inner.clock.lease_end(created_at)),
        None => inner.clock.lease_end(created_at),
    };
    let over = lease.after(inner.config.lease_slack);
    Ok(if inner.env.now() > over { Known::Abandoned } else { Known::Leased(over.after(JUST_AFTER)) })
}

/// When a lease is over, it is over for the whole of that millisecond.
const JUST_AFTER: std::time::Duration = std::time::Duration::from_millis(1);

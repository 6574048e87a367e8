//! Copies under way: ordered, or to be ordered with the target's next heartbeat. A restart loses them. They are planned
//! again then, and the nodes report the replicas that were made in the meantime.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cairn_protocol::checksum::Crc32c;
use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::count::without;
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::{BlockId, NodeId};

use cairn_planner::budget::InFlight;

/// The purpose of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The block is under-replicated.
    Repair,
    /// The replica on this node is to be deleted afterwards, because the node is draining.
    Drain(NodeId),
    /// The replica on this node is to be deleted afterwards, because the node is fuller than others.
    Balance(NodeId),
    /// The block is a new pack, to which nothing refers yet.
    Pack,
}

impl Purpose {
    /// The node whose replica is deleted when the new one exists.
    pub(crate) fn leaves(self) -> Option<NodeId> {
        match self {
            Self::Repair | Self::Pack => None,
            Self::Drain(node) | Self::Balance(node) => Some(node),
        }
    }

    /// Whether it is a move of the balancer.
    pub(crate) fn is_balance(self) -> bool {
        matches!(self, Self::Balance(_))
    }
}

/// A copy under way.
#[derive(Clone, Debug)]
pub(crate) struct CopyIntent {
    /// The block, with the length and checksum that the new replica must have.
    pub(crate) replica: ReportedReplica,
    /// The node that gets the new replica.
    pub(crate) target: NodeId,
    /// The nodes to read from, in the order in which to try them.
    pub(crate) sources: Vec<NodeId>,
    /// If it has not ended by then, it is planned again.
    pub(crate) deadline: Timestamp,
    /// Its purpose.
    pub(crate) purpose: Purpose,
    /// For a pack: what it is made of.
    pub(crate) pieces: Option<Arc<[Piece]>>,
    handed_out: bool,
}

/// A piece of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The block that has it now.
    pub(crate) block: BlockId,
    /// The offset in that block.
    pub(crate) offset: u64,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its CRC32C.
    pub(crate) crc32c: Crc32c,
    /// The nodes that hold the block.
    pub(crate) holders: Vec<NodeId>,
}

impl CopyIntent {
    /// The nodes that take part in it, if it is for repair; none otherwise.
    fn repairing(&self) -> impl Iterator<Item = NodeId> + use<> {
        let parties = [Some(self.target), self.sources.first().copied()];
        let counts = self.purpose == Purpose::Repair;
        parties.into_iter().flatten().filter(move |_| counts)
    }
}

/// All copies under way, by the numbers of their commands.
#[derive(Debug)]
pub(crate) struct Copies {
    commands: BTreeMap<u64, CopyIntent>,
    /// Copies that were made, but whose replicas SQL does not list yet.
    landing: HashMap<BlockId, Vec<CopyIntent>>,
    by_block: HashMap<BlockId, BTreeSet<u64>>,
    by_target: HashMap<NodeId, BTreeSet<u64>>,
    inbound: HashMap<NodeId, u64>,
    outbound: HashMap<NodeId, u64>,
    /// Bytes that each node reads or writes for repair.
    repairing: HashMap<NodeId, u64>,
    /// Nodes whose sums changed since the last [`take_changed`](Self::take_changed).
    changed: HashSet<NodeId>,
    /// Bytes under way at each node, as reader and writer.
    pub(crate) in_flight: InFlight,
    next: u64,
}

impl Copies {
    /// No copies under way. Commands are numbered from `first` on; `limit` is the number of bytes under way at each
    /// node.
    pub(crate) fn new(first: u64, limit: u64) -> Self {
        Self {
            commands: BTreeMap::new(),
            landing: HashMap::new(),
            by_block: HashMap::new(),
            by_target: HashMap::new(),
            inbound: HashMap::new(),
            outbound: HashMap::new(),
            repairing: HashMap::new(),
            changed: HashSet::new(),
            in_flight: InFlight::new(limit),
            next: first,
        }
    }

    /// The number of a new command.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Adds a copy. The caller counted it in [`in_flight`](Self::in_flight) already, when it decided on the copy.
    pub(crate) fn add(
        &mut self,
        replica: ReportedReplica,
        target: NodeId,
        sources: Vec<NodeId>,
        deadline: Timestamp,
        purpose: Purpose,
    ) {
        let command = self.number();
        self.by_block.entry(replica.block).or_default().insert(command);
        self.by_target.entry(target).or_default().insert(command);
        add_bytes(&mut self.inbound, target, replica.length);
        self.changed.insert(target);
        if let Some(from) = purpose.leaves() {
            add_bytes(&mut self.outbound, from, replica.length);
            self.changed.insert(from);
        }
        let intent =
            CopyIntent { replica, target, sources, deadline, purpose, pieces: None, handed_out: false };
        for node in intent.repairing() {
            add_bytes(&mut self.repairing, node, replica.length);
        }
        self.commands.insert(command, intent);
    }

    /// Adds the making of a pack on a node.
    pub(crate) fn add_pack(
        &mut self,
        replica: ReportedReplica,
        target: NodeId,
        pieces: Arc<[Piece]>,
        deadline: Timestamp,
    ) {
        self.in_flight.add(target, replica.length);
        self.add(replica, target, Vec::new(), deadline, Purpose::Pack);
        if let Some(intent) = self.commands.get_mut(&self.next) {
            intent.pieces = Some(pieces);
        }
    }

    /// The nodes whose sums changed since the last call.
    pub(crate) fn take_changed(&mut self) -> HashSet<NodeId> {
        std::mem::take(&mut self.changed)
    }

    /// The number of copies under way.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.commands.len()
    }

    /// The nodes that are about to get a replica of the block.
    pub(crate) fn targets_of(&self, block: BlockId) -> Vec<NodeId> {
        let commands = self.by_block.get(&block).into_iter().flatten();
        let targets = commands.filter_map(|command| self.commands.get(command)).map(|intent| intent.target);
        targets.chain(self.landing.get(&block).into_iter().flatten().map(|copy| copy.target)).collect()
    }

    /// Records that a copy was made. Until SQL lists its replica, no other copy is ordered instead.
    pub(crate) fn land(&mut self, copy: CopyIntent) {
        self.landing.entry(copy.replica.block).or_default().push(copy);
    }

    /// Called when SQL lists the replica, or will not list it. Returns the copy that made it, if one was landing.
    pub(crate) fn landed(&mut self, block: BlockId, node: NodeId) -> Option<CopyIntent> {
        let copies = self.landing.get_mut(&block)?;
        let place = copies.iter().position(|copy| copy.target == node)?;
        let copy = copies.swap_remove(place);
        if copies.is_empty() {
            self.landing.remove(&block);
        }
        Some(copy)
    }

    /// The nodes whose replicas of the block are deleted when the copies under way are done.
    pub(crate) fn leaving(&self, block: BlockId) -> Vec<NodeId> {
        let commands = self.by_block.get(&block).into_iter().flatten();
        commands
            .filter_map(|command| self.commands.get(command))
            .filter_map(|intent| intent.purpose.leaves())
            .collect()
    }

    /// The number of copies under way whose purpose `wanted` accepts.
    pub(crate) fn count(&self, wanted: impl Fn(Purpose) -> bool) -> u64 {
        self.commands.values().filter(|intent| wanted(intent.purpose)).count() as u64
    }

    /// Whether a node takes part in repair, as reader or writer.
    pub(crate) fn is_repairing(&self, node: NodeId) -> bool {
        self.repairing.contains_key(&node)
    }

    /// Bytes on their way to a node.
    pub(crate) fn inbound(&self, node: NodeId) -> u64 {
        self.inbound.get(&node).copied().unwrap_or(0)
    }

    /// Bytes that are being moved off a node.
    pub(crate) fn outbound(&self, node: NodeId) -> u64 {
        self.outbound.get(&node).copied().unwrap_or(0)
    }

    /// The copies to `node` that were not ordered yet. Each is returned once.
    pub(crate) fn hand_out(&mut self, node: NodeId) -> Vec<(u64, CopyIntent)> {
        let mut out = Vec::new();
        for command in self.by_target.get(&node).into_iter().flatten() {
            if let Some(intent) = self.commands.get_mut(command).filter(|intent| !intent.handed_out) {
                intent.handed_out = true;
                out.push((*command, intent.clone()));
            }
        }
        out
    }

    /// Removes a copy that succeeded or failed; `None` if the command is unknown or belongs to another node.
    pub(crate) fn finish(&mut self, command: u64, node: NodeId) -> Option<CopyIntent> {
        if self.commands.get(&command)?.target != node {
            return None;
        }
        self.remove(command)
    }

    /// Removes and returns the copies whose deadline has passed.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<CopyIntent> {
        let late = |(command, intent): (&u64, &CopyIntent)| (intent.deadline < now).then_some(*command);
        let late: Vec<u64> = self.commands.iter().filter_map(late).collect();
        late.into_iter().filter_map(|command| self.remove(command)).collect()
    }

    /// Gives up the copies to a node that died or registered again.
    pub(crate) fn forget(&mut self, node: NodeId) {
        for command in self.by_target.get(&node).cloned().unwrap_or_default() {
            self.remove(command);
        }
    }

    fn remove(&mut self, command: u64) -> Option<CopyIntent> {
        let intent = self.commands.remove(&command)?;
        let bytes = intent.replica.length;
        remove_from(&mut self.by_block, intent.replica.block, command);
        remove_from(&mut self.by_target, intent.target, command);
        remove_bytes(&mut self.inbound, intent.target, bytes);
        self.changed.insert(intent.target);
        if let Some(from) = intent.purpose.leaves() {
            remove_bytes(&mut self.outbound, from, bytes);
            self.changed.insert(from);
        }
        for node in intent.repairing() {
            remove_bytes(&mut self.repairing, node, bytes);
        }
        self.in_flight.remove(intent.target, bytes);
        if let Some(source) = intent.sources.first() {
            self.in_flight.remove(*source, bytes);
        }
        Some(intent)
    }
}

fn add_bytes(at: &mut HashMap<NodeId, u64>, node: NodeId, bytes: u64) {
    let sum = at.entry(node).or_default();
    *sum = sum.saturating_add(bytes);
}

fn remove_bytes(at: &mut HashMap<NodeId, u64>, node: NodeId, bytes: u64) {
    if let Some(sum) = at.get_mut(&node) {
        *sum = without(*sum, bytes, "bytes of copies under way");
        if *sum == 0 {
            at.remove(&node);
        }
    }
}

fn remove_from<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<u64>>, key: K, command: u64) {
    if let Some(commands) = index.get_mut(&key) {
        commands.remove(&command);
        if commands.is_empty() {
            index.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn node(number: u128) -> NodeId {
        NodeId(Uuid::from_u128(number))
    }

    fn replica() -> ReportedReplica {
        ReportedReplica { block: BlockId(Uuid::from_u128(9)), length: 100, crc32c: 1 }
    }

    fn copies() -> Copies {
        let mut copies = Copies::new(10, 1_000);
        copies.in_flight.add(node(1), 100);
        copies.in_flight.add(node(2), 100);
        copies.add(replica(), node(2), vec![node(1)], Timestamp(50), Purpose::Drain(node(3)));
        copies
    }

    fn assert_empty(copies: &Copies) {
        assert_eq!((copies.len(), copies.inbound(node(2)), copies.outbound(node(3))), (0, 0, 0));
        assert!(copies.targets_of(replica().block).is_empty());
        assert_eq!((copies.in_flight.load(node(1)), copies.in_flight.load(node(2))), (0, 0));
    }

    #[test]
    fn a_copy_is_handed_out_once_and_counts_until_its_target_has_finished_it() {
        let mut copies = copies();
        assert_eq!((copies.inbound(node(2)), copies.targets_of(replica().block)), (100, vec![node(2)]));
        assert_eq!(copies.outbound(node(3)), 100);
        assert!(copies.hand_out(node(1)).is_empty());
        let (command, _) = copies.hand_out(node(2)).pop().unwrap();
        assert!(copies.hand_out(node(2)).is_empty());
        assert!(copies.finish(command, node(1)).is_none(), "another node cannot finish it");
        assert!(copies.finish(command, node(2)).is_some());
        assert_empty(&copies);
    }

    #[test]
    fn a_copy_ends_at_its_deadline_and_with_its_target() {
        let mut late = copies();
        assert!(late.expire(Timestamp(50)).is_empty());
        assert_eq!(late.expire(Timestamp(51)).len(), 1);
        assert_empty(&late);
        let mut dead = copies();
        dead.forget(node(2));
        assert_empty(&dead);
    }
}

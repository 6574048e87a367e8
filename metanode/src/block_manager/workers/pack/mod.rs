//! The pack worker: moves small objects together into packs, so that what a block costs is not paid for each of them.
//!
//! It walks over all versions, and gathers those that are in small blocks or in sparse packs, by the replication of their blocks.
//! When they fill a pack, datanodes are ordered to make it out of the pieces; each verifies what it reads. When as many have it
//! as its replication wants, the versions are moved in short transactions. The references that they had stay for the grace
//! period, as those of deleted versions do, so reads under way go on. Until the first of these transactions nothing refers to the
//! pack: if it is not made, or the metanode restarts, it is deleted like any block that was not committed.

mod plan;
mod preview;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_planner::placement::Demand;
use cairn_protocol::admin::WorkerName;
use cairn_protocol::cluster::ReportedReplica;
use cairn_protocol::event::EventKind;
use cairn_protocol::id::{BlockId, NodeId, PartId};
use cairn_protocol::metadata::{Grant, MetadataError, NewExtent};
use cairn_protocol::warn_peer;

use self::plan::{Group, Placed, Plan, wanted};
pub(in crate::block_manager) use self::preview::preview;
use super::{Progress, Worker};
use crate::block_manager::grants::Terms;
use crate::block_manager::soft_state::Amount;
use crate::block_manager::soft_state::copies::Piece;
use crate::block_manager::{Inner, commit, grants};
use crate::store::packs::{self, InPack, Place};
use crate::store::{Connection, StoreError, blocks};

/// Versions that one step of the walk reads.
const ROWS_PER_STEP: u32 = 500;

/// Objects that one transaction moves: some milliseconds of the writer's time.
const MOVES_PER_WRITE: usize = 100;

/// Packs that are made at the same time.
const JOBS_MAX: usize = 2;

/// The longest time without a walk: it finds packs that have become sparse.
const LONG_REST: Duration = Duration::from_secs(24 * 3600);

/// The pack worker.
pub(super) struct Pack {
    inner: Arc<Inner>,
    walk: Option<Walk>,
    jobs: Vec<Job>,
    /// When the last walk ended, by the monotonic clock.
    walked_at: Duration,
    /// What the last walk left for later, of the replication of which it left most. `None` if that is not known: there was no walk
    /// yet, or objects that were to be moved may have stayed where they were.
    left: Option<Amount>,
}

/// A walk over all versions.
#[derive(Default)]
struct Walk {
    place: Place,
    /// What is gathered so far, by replication.
    groups: BTreeMap<u32, Group>,
    /// What is too young, by replication.
    young: BTreeMap<u32, Amount>,
    /// Whether there was enough for a pack.
    has_filled_pack: bool,
}

impl Walk {
    /// What it has left, of the replication of which it left most.
    fn left(&self) -> Amount {
        let mut left = self.young.clone();
        for (replication, group) in &self.groups {
            *left.entry(*replication).or_default() += group.amount();
        }
        left.into_values().max_by_key(|amount| (amount.bytes, amount.objects)).unwrap_or_default()
    }
}

/// A pack that is being made, or whose objects are being moved.
struct Job {
    replica: ReportedReplica,
    grant: Grant,
    members: Vec<Placed>,
    /// How many members were handled.
    handled: usize,
    /// How many of them were moved.
    moved: u64,
    /// The nodes that have the pack, with their incarnations, once there are enough.
    stored_on: Vec<(NodeId, u64)>,
}

/// The state of a pack on the datanodes.
enum Made {
    NotYet,
    Enough(Vec<(NodeId, u64)>),
    Failed,
}

impl Pack {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let walked_at = inner.env.monotonic();
        Self { inner, walk: None, jobs: Vec::new(), walked_at, left: None }
    }

    /// Begins a walk if one is due, or an operator wants one.
    fn begin(&mut self) -> bool {
        let interval = self.inner.config.pack_interval;
        let rested = self.inner.env.monotonic().saturating_sub(self.walked_at);
        let mut soft_state = self.inner.soft_state();
        let is_worth_it = self.left.is_none_or(|mut amount| {
            amount += soft_state.new_small;
            amount.makes_pack(self.least())
        });
        let is_due = !interval.is_zero() && rested >= interval && (is_worth_it || rested >= LONG_REST);
        if !std::mem::take(&mut soft_state.is_pack_asked) && !is_due {
            return false;
        }
        soft_state.new_small = Amount::default();
        drop(soft_state);
        self.walk = Some(Walk::default());
        true
    }

    /// The least length of a pack. Less waits for more.
    fn least(&self) -> u64 {
        self.inner.config.pack_size / 2
    }

    /// Reads a page of versions, and orders the packs that it fills.
    async fn go_on(&mut self, mut walk: Walk) -> Result<(), StoreError> {
        let mut reader = self.inner.store.read_in_background().await?;
        let (members, next) = packs::page(&mut reader, walk.place.clone(), ROWS_PER_STEP).await?;
        drop(reader);
        let now = self.inner.env.now();
        let written_before = now.before(self.inner.config.pack_age);
        for member in members {
            let replication = member.source.replication;
            if let Some(crc32c) = wanted(&member, written_before) {
                walk.groups.entry(replication).or_default().add(member, crc32c);
            } else if wanted(&member, now).is_some() {
                walk.young.entry(replication).or_default().add(member.length);
            }
        }
        let enough = if next.is_none() { self.least() } else { self.inner.config.pack_size };
        let full = walk.groups.extract_if(.., |_, group| group.is_full(enough));
        for (replication, group) in full.collect::<Vec<_>>() {
            walk.has_filled_pack = true;
            self.order(replication, group).await?;
        }
        if let Some(place) = next {
            walk.place = place;
            self.walk = Some(walk);
        } else {
            self.walked_at = self.inner.env.monotonic();
            self.left = (!walk.has_filled_pack).then(|| walk.left());
        }
        Ok(())
    }

    /// Orders a pack of these objects, if enough nodes can make it.
    async fn order(&mut self, replication: u32, group: Group) -> Result<(), StoreError> {
        let holders = self.holders(group.sources()).await?;
        let plan = group.plan(|block| holders.contains_key(&block));
        let Some(grant) = self.grant(replication, &plan) else { return Ok(()) };
        let replica = ReportedReplica { block: grant.block, length: plan.length, crc32c: plan.crc32c };
        let pieces: Arc<[Piece]> = plan
            .runs
            .iter()
            .map(|run| Piece {
                block: run.block,
                offset: run.offset,
                length: run.length,
                crc32c: run.crc32c,
                holders: holders.get(&run.block).cloned().unwrap_or_default(),
            })
            .collect();
        let deadline = self.inner.env.now().after(self.inner.config.command_deadline);
        {
            let mut soft_state = self.inner.soft_state();
            for target in &grant.targets {
                soft_state.copies.add_pack(replica, target.node, pieces.clone(), deadline);
            }
        }
        self.inner.pay(WorkerName::Pack, plan.length);
        let members = plan.members;
        self.jobs.push(Job { replica, grant, members, handled: 0, moved: 0, stored_on: Vec::new() });
        Ok(())
    }

    /// The nodes with a good replica of each of these blocks. Blocks without any are left out.
    async fn holders(&self, sources: BTreeSet<BlockId>) -> Result<HashMap<BlockId, Vec<NodeId>>, StoreError> {
        let mut reader = self.inner.store.read_in_background().await?;
        let mut found = HashMap::with_capacity(sources.len());
        for block in sources {
            let copies = blocks::find(&mut reader, block).await?;
            let holders = copies.into_iter().flat_map(|copies| copies.holders);
            let good: Vec<NodeId> = holders.filter(|(_, good)| *good).map(|(node, _)| node).collect();
            if !good.is_empty() {
                found.insert(block, good);
            }
        }
        Ok(found)
    }

    /// A grant for a pack, on nodes that know how to make one; `None` if there are too few.
    fn grant(&self, replication: u32, plan: &Plan) -> Option<Grant> {
        let inner = &self.inner;
        if plan.length == 0 {
            return None;
        }
        let expires_at = inner.env.now().after(inner.config.lease);
        let mut soft_state = inner.soft_state();
        let unable: Vec<NodeId> = {
            let nodes = soft_state.nodes.iter().filter(|(_, node)| !node.packs);
            nodes.map(|(id, _)| id).collect()
        };
        let demand = Demand { bytes: plan.length, copies: replication, holders: &[], exclude: &unable };
        // Copies under way count the bytes. The grant keeps its nodes from being drained before it is committed.
        let terms = Terms { block_size: plan.length, reserved: 0, expires_at };
        let grant = grants::grant(inner, &mut soft_state, &demand, terms).ok()?;
        drop(soft_state);
        Some(grants::sign(inner, grant))
    }

    /// Goes on with the packs under way. Returns whether a transaction was made.
    async fn go_on_with_jobs(&mut self) -> bool {
        for mut job in std::mem::take(&mut self.jobs) {
            if job.stored_on.is_empty() {
                match self.made(&job) {
                    Made::NotYet => {
                        self.jobs.push(job);
                        continue;
                    }
                    Made::Failed => {
                        self.inner.soft_state().reservations.remove(job.replica.block);
                        continue;
                    }
                    Made::Enough(stored_on) => job.stored_on = stored_on,
                }
            }
            match self.move_some(&mut job).await {
                Ok(()) if job.handled < job.members.len() => self.jobs.push(job),
                Ok(()) => self.packed(&job),
                Err(error) => {
                    warn_peer!(pack = %job.replica.block, %error, "objects could not be moved into a pack");
                    self.inner.soft_state().reservations.remove(job.replica.block);
                }
            }
            return true;
        }
        false
    }

    /// Whether enough nodes have reported the pack. All that were ordered to make it get their time.
    fn made(&self, job: &Job) -> Made {
        let soft_state = self.inner.soft_state();
        let block = job.replica.block;
        if !soft_state.copies.targets_of(block).is_empty() {
            return Made::NotYet;
        }
        let held = job.grant.targets.iter().filter_map(|target| {
            let incarnation = soft_state.nodes.get(target.node)?.incarnation;
            let held = soft_state.orphans.held(target.node, incarnation, block)?;
            (held.good && held.replica == job.replica).then_some((target.node, incarnation))
        });
        let held: Vec<_> = held.collect();
        if held.len() >= job.grant.min_replicas.max(1) as usize { Made::Enough(held) } else { Made::Failed }
    }

    /// Moves the next objects, in one transaction.
    async fn move_some(&self, job: &mut Job) -> Result<(), MetadataError> {
        let next = job.members.iter().skip(job.handled).take(MOVES_PER_WRITE);
        let owners = next.map(|placed| (placed.clone(), PartId(self.inner.env.uuid_v7())));
        let owners: Vec<_> = owners.collect();
        let handled = owners.len();
        let extent = NewExtent {
            grant: job.grant.clone(),
            length: job.replica.length,
            crc32c: job.replica.crc32c,
            stored_on: job.stored_on.iter().map(|(node, _)| *node).collect(),
            incarnations: job.stored_on.clone(),
            slice: None,
        };
        let (inner, is_first) = (self.inner.clone(), job.moved == 0);
        let store = &self.inner.store;
        let moved = store.write_in_background(move |tx| {
            Box::pin(async move { move_members(&inner, tx, &owners, extent, is_first).await })
        });
        job.moved += moved.await?;
        job.handled += handled;
        Ok(())
    }

    fn packed(&self, job: &Job) {
        let block = job.replica.block;
        if job.moved == 0 {
            // All of its objects were deleted or replaced meanwhile.
            self.inner.soft_state().reservations.remove(block);
            return;
        }
        self.inner.count(WorkerName::Pack, job.moved, job.replica.length);
        self.inner.events.publish(EventKind::ObjectsPacked { pack: block, objects: job.moved });
    }
}

/// Makes objects refer to their bytes in a pack. Returns how many of them: others have changed meanwhile. The first that are moved
/// commit the pack.
async fn move_members(
    inner: &Inner,
    tx: &mut Connection,
    members: &[(Placed, PartId)],
    extent: NewExtent,
    is_first: bool,
) -> Result<u64, MetadataError> {
    let pack = extent.grant.block;
    let (mut moved, mut bytes) = (0, 0);
    for (placed, owner) in members {
        let to = InPack { pack, offset: placed.offset, crc32c: placed.crc32c };
        if packs::move_member(tx, &placed.member, to, *owner, inner.env.now()).await? {
            moved += 1;
            bytes += placed.member.length;
        }
    }
    if moved == 0 {
        return Ok(0);
    }
    let mut references = moved;
    if is_first {
        // This counts one reference.
        commit::commit_extents(inner, tx, std::slice::from_ref(&extent)).await?;
        references -= 1;
    }
    if !packs::count(tx, pack, references, bytes).await? {
        return Err(MetadataError::BlockLost { block: pack, reason: "the pack is gone".to_owned() });
    }
    Ok(moved)
}

#[async_trait]
impl Worker for Pack {
    fn name(&self) -> WorkerName {
        WorkerName::Pack
    }

    fn doing(&self) -> String {
        let left: usize = self.jobs.iter().map(|job| job.members.len() - job.handled).sum();
        match (&self.walk, self.jobs.len()) {
            (_, 1..) => format!("moves {left} objects into {} packs", self.jobs.len()),
            (Some(_), 0) => "looks for objects in small blocks and sparse packs".to_owned(),
            (None, 0) => "waits for small objects".to_owned(),
        }
    }

    async fn step(&mut self) -> Result<Progress, StoreError> {
        if self.inner.soft_state().is_held() {
            return Ok(Progress::Rest);
        }
        if self.go_on_with_jobs().await {
            return Ok(Progress::More);
        }
        // A walk that begins while objects are being moved would order to move them once more.
        let may_begin = self.walk.is_some() || (self.jobs.is_empty() && self.begin());
        if self.jobs.len() >= JOBS_MAX || !may_begin {
            return Ok(Progress::Rest);
        }
        if let Some(walk) = self.walk.take() {
            self.go_on(walk).await?;
        }
        if self.walk.is_none() && self.jobs.is_empty() {
            self.inner.events.publish(EventKind::PackIdle);
        }
        Ok(Progress::More)
    }

    async fn wait(&mut self) {
        self.inner.env.sleep(self.inner.config.worker_interval).await;
    }
}

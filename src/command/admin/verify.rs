//! Reads replicas of blocks from their datanodes, and compares length and checksum with the metanode's records.

use std::collections::HashSet;
use std::time::Duration;

use cairn_protocol::admin::{ExtentPlace, NodeState, ObjectPlace, ReplicaPlace};
use cairn_protocol::block::{BlockConnector, BlockError, BlockInfo, BlockService, GetBlock};
use cairn_protocol::checksum::ChunkTableBuilder;
use cairn_protocol::env::Env;
use cairn_protocol::id::{BlockId, NodeId, VolumeId};
use cairn_protocol::secret::{BlockOperation, ClusterSecret};
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::progress::{Bar, Unit};

/// Replicas that are read concurrently: enough to use a link fully, and few enough that clients do not notice.
const READS_AT_ONCE: usize = 4;

/// Attempts to read a replica whose reads break off. By then the datanode has found the damage, if that is the reason.
const ATTEMPTS: u32 = 5;

/// Delay before the second attempt. It grows with each further one.
const PAUSE: Duration = Duration::from_millis(100);

/// Validity of a block token: longer than the read of the largest block takes over a slow link.
const TOKEN_TIME: Duration = Duration::from_secs(300);

/// The result of the check of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Length and checksum are as recorded.
    Good,
    /// Length or checksum differ, or the datanode found damage.
    Corrupt,
    /// The datanode does not have it.
    Missing,
    /// It could not be read.
    Unreachable,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Corrupt => "corrupt",
            Self::Missing => "missing",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A replica that was checked.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CheckedReplica {
    /// The block.
    pub(super) block: BlockId,
    /// The node that holds the replica.
    pub(super) node: NodeId,
    /// The base URL of that node.
    pub(super) address: String,
    /// The volume that holds it, if the node's answer named it.
    pub(super) volume: Option<VolumeId>,
    /// The result.
    pub(super) verdict: Verdict,
    /// The reason, if the replica is not good.
    pub(super) detail: Option<String>,
}

/// Reads replicas and checks them.
pub(super) struct Verifier<C> {
    blocks: C,
    secret: ClusterSecret,
    env: Env,
}

impl<C: BlockConnector> Verifier<C> {
    pub(super) fn new(blocks: C, secret: ClusterSecret, env: Env) -> Self {
        Self { blocks, secret, env }
    }

    /// Checks every replica of every block of an object. Blocks that several extents share are read once.
    pub(super) async fn check(&self, object: &ObjectPlace) -> Vec<CheckedReplica> {
        let mut seen = HashSet::new();
        let replicas: Vec<_> = object
            .extents
            .iter()
            .filter(|extent| seen.insert(extent.block))
            .flat_map(|extent| extent.replicas.iter().map(move |replica| (extent, replica)))
            .collect();
        let bar = Bar::new(replicas.iter().map(|(extent, _)| extent.block_length).sum(), Unit::Bytes);
        let checks = replicas.into_iter().map(|(extent, replica)| self.check_replica(extent, replica, &bar));
        stream::iter(checks).buffered(READS_AT_ONCE).collect().await
    }

    async fn check_replica(&self, extent: &ExtentPlace, replica: &ReplicaPlace, bar: &Bar) -> CheckedReplica {
        let read = self.read(extent, replica).await;
        bar.advance(extent.block_length);
        let (volume, verdict, detail) = match read {
            Ok(info) => (info.volume, Verdict::Good, None),
            Err(Failure { volume, error }) => (volume, verdict_of(&error), Some(error.to_string())),
        };
        let (block, node, address) = (extent.block, replica.node, replica.address.clone());
        CheckedReplica { block, node, address, volume, verdict, detail }
    }

    async fn read(&self, extent: &ExtentPlace, replica: &ReplicaPlace) -> Result<BlockInfo, Failure> {
        let expires_at = self.env.now().after(TOKEN_TIME);
        let token = self.secret.block_token(BlockOperation::Get, extent.block, replica.node, expires_at);
        let service = self.blocks.connect(replica.node, &replica.address);
        let mut reading = Reading { extent, info: None, table: ChunkTableBuilder::default() };
        let attempts = if replica.state == NodeState::Dead { 1 } else { ATTEMPTS };
        for attempt in 1..=attempts {
            match reading.go_on(&*service, token.clone()).await {
                Ok(true) => return reading.finish(),
                // A datanode that finds damage during a read breaks off. The request for the rest returns the reason, at
                // the latest when the block is in quarantine.
                Ok(false) | Err(BlockError::Unreachable { .. }) if attempt < attempts => {
                    self.env.sleep(PAUSE * attempt).await;
                }
                Ok(false) => break,
                Err(error) => return Err(reading.failure(error)),
            }
        }
        Err(reading.failure(BlockError::Unreachable { reason: "it breaks off again and again".to_owned() }))
    }
}

/// The state of a read of a replica.
struct Reading<'a> {
    extent: &'a ExtentPlace,
    /// The properties of the block from the datanode's first answer.
    info: Option<BlockInfo>,
    table: ChunkTableBuilder,
}

impl Reading<'_> {
    /// Reads the rest of the replica. Returns whether it reached the end.
    async fn go_on(&mut self, service: &dyn BlockService, token: String) -> Result<bool, BlockError> {
        let length = self.extent.block_length;
        let had = self.table.length();
        if had >= length && self.info.is_some() {
            return Ok(true);
        }
        let range = (had > 0).then_some((had, length));
        let mut read = match service.get(GetBlock { block: self.extent.block, range, token }).await {
            // An earlier request found the block, so the datanode has moved it to quarantine since then.
            Err(BlockError::NotFound) if self.info.is_some() => return Err(BlockError::Corrupt),
            read => read?,
        };
        self.info = Some(read.info);
        if read.info.length != length {
            return Err(BlockError::LengthMismatch { expected: length, received: read.info.length });
        }
        // The answer begins at a chunk's start, so it can repeat bytes that are already read.
        let mut known = had.saturating_sub(read.data_offset);
        while let Some(piece) = read.data.next().await {
            let Ok(bytes) = piece else { return Ok(false) };
            let skipped = known.min(bytes.len() as u64);
            known -= skipped;
            self.table
                .update(&bytes.slice(usize::try_from(skipped).unwrap_or(usize::MAX).min(bytes.len())..));
        }
        Ok(true)
    }

    fn finish(self) -> Result<BlockInfo, Failure> {
        let (length, received) = (self.extent.block_length, self.table.length());
        if received != length {
            return Err(self.failure(BlockError::LengthMismatch { expected: length, received }));
        }
        let volume = self.info.and_then(|info| info.volume);
        let failure = |error| Failure { volume, error };
        if !self.table.finish().matches(length, self.extent.crc32c) {
            return Err(failure(BlockError::ChecksumMismatch));
        }
        self.info.ok_or_else(|| failure(BlockError::Internal))
    }

    fn failure(&self, error: BlockError) -> Failure {
        Failure { volume: self.info.and_then(|info| info.volume), error }
    }
}

/// Why a replica is not good, and its volume if the datanode has named it.
struct Failure {
    volume: Option<VolumeId>,
    error: BlockError,
}

fn verdict_of(error: &BlockError) -> Verdict {
    match error {
        BlockError::NotFound => Verdict::Missing,
        BlockError::ChecksumMismatch
        | BlockError::LengthMismatch { .. }
        | BlockError::Conflict
        | BlockError::Corrupt => Verdict::Corrupt,
        BlockError::NoSpace
        | BlockError::Busy
        | BlockError::VolumeFailed { .. }
        | BlockError::Unauthorized { .. }
        | BlockError::Malformed { .. }
        | BlockError::Unreachable { .. }
        | BlockError::TimedOut
        | BlockError::Internal => Verdict::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::admin::fake::{Disks, impatient_env, place};

    fn verifier(disks: Disks) -> Verifier<Disks> {
        Verifier::new(disks, ClusterSecret::new(&"s".repeat(32)).unwrap(), impatient_env())
    }

    async fn verdicts(stored: &[Result<&'static [u8], BlockError>], recorded: &[&[u8]]) -> Vec<Verdict> {
        let object = place(recorded);
        let disks = Disks::default();
        for (extent, bytes) in object.extents.iter().zip(stored) {
            disks.store(extent.block, bytes.clone());
        }
        verifier(disks).check(&object).await.into_iter().map(|replica| replica.verdict).collect()
    }

    #[tokio::test]
    async fn a_replica_is_good_only_if_its_bytes_are_those_that_the_metanode_recorded() {
        let stored: [Result<&'static [u8], BlockError>; 6] = [
            Ok(b"hello"),
            Ok(b"jello"),
            Ok(b"hell"),
            Err(BlockError::NotFound),
            Err(BlockError::Corrupt),
            Err(BlockError::Unreachable { reason: "it is off".to_owned() }),
        ];
        let recorded = [&b"hello"[..]; 6];
        use Verdict::{Corrupt, Good, Missing, Unreachable};
        assert_eq!(
            verdicts(&stored, &recorded).await,
            [Good, Corrupt, Corrupt, Missing, Corrupt, Unreachable]
        );
    }

    #[tokio::test]
    async fn a_read_that_breaks_off_is_continued_and_then_judged() {
        for (then, verdict) in [
            (Err(BlockError::NotFound), Verdict::Corrupt),
            (Err(BlockError::Corrupt), Verdict::Corrupt),
            (Err(BlockError::Busy), Verdict::Unreachable),
            (Ok(()), Verdict::Good),
        ] {
            let object = place(&[b"hello"]);
            let disks = Disks::default();
            disks.store(object.extents[0].block, Ok(b"hello"));
            disks.break_off(then);
            assert_eq!(verifier(disks).check(&object).await[0].verdict, verdict);
        }
    }

    #[tokio::test]
    async fn a_block_that_several_extents_share_is_read_once() {
        let mut object = place(&[b"hello"]);
        object.extents.push(object.extents[0].clone());
        let disks = Disks::default();
        disks.store(object.extents[0].block, Ok(b"hello"));
        let checked = verifier(disks).check(&object).await;
        assert_eq!(checked.len(), 1);
        assert!(checked[0].volume.is_some());
    }
}

//! The node record: what a node keeps across restarts beside its blocks. It has the node's volumes, the last round of scrubbing,
//! and what the node has seen of the metanode's database.
//!
//! It is kept as `node.json` on each volume. The file with the highest sequence counts; one that cannot be read does not. Without
//! it a node does not notice that a volume is missing or that a metanode has an older database, and scrubs a round again.

use std::path::Path;

use cairn_protocol::cluster::{Generation, Lineage};
use cairn_protocol::env::Timestamp;
use cairn_protocol::id::VolumeId;
use serde::{Deserialize, Serialize};

use super::disk::{Disk, read_file, replace_file};

const NAME: &str = "node.json";

/// The node record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NodeRecord {
    /// Rises with each change.
    pub(crate) sequence: u64,
    /// The node's volumes, and the directories in which they were.
    pub(crate) volumes: Vec<KnownVolume>,
    /// The last round of scrubbing that the node finished.
    pub(crate) scrub: LastScrub,
    /// What the node has seen of the metanode's database.
    pub(crate) seen: SeenDatabase,
}

/// What a node has seen of the metanode and its database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeenDatabase {
    /// The highest incarnation that the node had; 0 for none.
    pub incarnation: u64,
    /// The latest generations of the database. There is more than one if an older backup was restored and went on from there.
    pub generations: Vec<Generation>,
}

/// Generations that are kept. Each one beyond the first means that an operator restored another backup of the database. Above this
/// number the oldest are dropped.
const GENERATIONS_MAX: usize = 64;

impl SeenDatabase {
    /// Merges the lineage that the metanode sent of its database. Returns whether anything changed.
    pub fn learn(&mut self, lineage: Lineage) -> bool {
        let before = self.generations.clone();
        let Lineage { latest, sole } = lineage;
        if sole {
            self.generations.clear();
        }
        if let Some(latest) = latest {
            // A machine that was set back to a snapshot including its memory goes on with the same opening and a lower sequence.
            let known = self.generations.iter().find(|known| known.opening == latest.opening).copied();
            let latest = known.filter(|known| known.sequence > latest.sequence).unwrap_or(latest);
            self.generations.retain(|known| known.opening != latest.opening);
            self.generations.push(latest);
        }
        let beyond = self.generations.len().saturating_sub(GENERATIONS_MAX);
        self.generations.drain(..beyond);
        self.generations != before
    }
}

/// A volume of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownVolume {
    /// The directory as it was configured.
    pub(crate) directory: String,
    pub(crate) volume: VolumeId,
}

/// A round of scrubbing that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastScrub {
    /// The last round that was ordered and followed to its end; 0 for none.
    pub round: u64,
    /// When a round, ordered or not, ended last.
    pub at: Option<Timestamp>,
}

impl NodeRecord {
    /// The record in `directory`; `None` when there is none that can be read.
    pub(crate) fn read(disk: &dyn Disk, directory: &Path) -> Option<Self> {
        let bytes = read_file(disk, &directory.join(NAME)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Writes the record to `directory`, atomically and durably.
    pub(crate) fn write(&self, disk: &dyn Disk, directory: &Path) -> std::io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?;
        replace_file(disk, directory, NAME, &bytes)
    }

    /// The volume that was in a directory.
    pub(crate) fn volume_in(&self, directory: &Path) -> Option<VolumeId> {
        let directory = directory.to_string_lossy();
        self.volumes.iter().find(|known| known.directory == directory).map(|known| known.volume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn generation(opening: u128, sequence: u64) -> Generation {
        Generation { opening: cairn_protocol::id::OpeningId(Uuid::from_u128(opening)), sequence }
    }

    fn learn(seen: &mut SeenDatabase, latest: Option<Generation>, sole: bool) -> bool {
        seen.learn(Lineage { latest, sole })
    }

    #[test]
    fn a_sole_lineage_replaces_the_generations_that_were_seen_and_another_one_is_added() {
        let mut seen = SeenDatabase::default();
        assert!(learn(&mut seen, Some(generation(1, 5)), true));
        assert!(!learn(&mut seen, Some(generation(1, 5)), true));
        assert!(learn(&mut seen, Some(generation(2, 6)), true));
        assert_eq!(seen.generations, [generation(2, 6)]);
        // An older backup was restored, and went on from there.
        learn(&mut seen, Some(generation(3, 4)), false);
        learn(&mut seen, Some(generation(3, 5)), false);
        learn(&mut seen, Some(generation(2, 1)), false);
        seen.generations.sort_by_key(|generation| generation.opening);
        assert_eq!(seen.generations, [generation(2, 6), generation(3, 5)]);
        // An operator has accepted the older database.
        learn(&mut seen, None, true);
        assert!(seen.generations.is_empty());
    }

    #[test]
    fn an_empty_lineage_from_an_older_metanode_changes_nothing() {
        let mut seen = SeenDatabase::default();
        learn(&mut seen, Some(generation(1, 5)), true);
        assert!(!seen.learn(Lineage::default()));
        assert_eq!(seen.generations, [generation(1, 5)]);
    }

    #[test]
    fn a_node_record_of_an_earlier_version_is_read() {
        let text = r#"{"sequence": 3, "volumes": [], "scrub": {"round": 7, "at": null}}"#;
        let node_record: NodeRecord = serde_json::from_str(text).unwrap();
        assert_eq!((node_record.scrub.round, node_record.seen), (7, SeenDatabase::default()));
    }
}

//! How far a volume has been scrubbed, kept in `scrub.json` on the volume itself, so that a restart goes on where the
//! last process stopped. The file is written now and then: after a crash some blocks are read twice, and none is left out.

use std::io;

use cairn_protocol::env::Timestamp;
use cairn_protocol::id::BlockId;
use serde::{Deserialize, Serialize};

use super::Volume;
use super::disk::{read_file, replace_file};

const NAME: &str = "scrub.json";

/// How far a volume has been scrubbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScrubCursor {
    /// Whether a round is under way. The fields up to `corrupt` are about it, or about the last one.
    pub under_way: bool,
    /// The order that the round follows; 0 for a round of the volume's own.
    pub round: u64,
    /// When the round began.
    pub started_at: Timestamp,
    /// The last block that was read; none at the beginning.
    pub after: Option<BlockId>,
    /// Blocks read.
    pub blocks: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blocks found corrupt.
    pub corrupt: u64,
    /// The last order that was followed to its end; 0 for none.
    pub finished_round: u64,
    /// When a round, ordered or not, ended last.
    pub finished_at: Option<Timestamp>,
}

impl Volume {
    /// How far the volume has been scrubbed; `None` when it was not, or when the file cannot be read: then scrubbing
    /// begins at the beginning. Blocks its thread.
    pub fn scrub_cursor(&self) -> Option<ScrubCursor> {
        let path = self.state.directory.join(NAME);
        match read_file(&*self.state.disk, &path) {
            Ok(bytes) => serde_json::from_slice(&bytes?).ok(),
            Err(error) => {
                tracing::info!(volume = %self.id(), %error, "how far the volume was scrubbed cannot be read");
                None
            }
        }
    }

    /// Remembers how far the volume has been scrubbed. Blocks its thread.
    ///
    /// # Errors
    /// Those of the disk. The file is as it was then.
    pub fn keep_scrub_cursor(&self, cursor: &ScrubCursor) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(cursor).map_err(io::Error::other)?;
        replace_file(&*self.state.disk, &self.state.directory, NAME, &bytes)
    }
}

//! The scrub cursor: how far a volume has been scrubbed. It is kept in `scrub.json` on the volume, so that a restart goes on
//! where the last process stopped. The file is written now and then; after a crash some blocks are read twice, and none is
//! left out.

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
    /// Whether a round is under way. The fields up to `corrupt` describe it, or else the last round.
    pub under_way: bool,
    /// The number of the order that the round follows; 0 for a regular round.
    pub round: u64,
    /// When the round began.
    pub started_at: Timestamp,
    /// The last block that was read; none at the beginning.
    pub after: Option<BlockId>,
    /// Blocks read in this round.
    pub blocks: u64,
    /// Bytes read in this round.
    pub bytes: u64,
    /// Blocks found corrupt in this round.
    pub corrupt: u64,
    /// The last order whose round was finished; 0 for none.
    pub finished_round: u64,
    /// When the last round ended, ordered or regular.
    pub finished_at: Option<Timestamp>,
}

impl Volume {
    /// Reads the cursor; `None` when there is none, or when it cannot be read. Scrubbing then begins with the first block. Blocks
    /// its thread.
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

    /// Writes the cursor. Blocks its thread.
    ///
    /// # Errors
    /// Errors of the disk. The file is then as it was.
    pub fn keep_scrub_cursor(&self, cursor: &ScrubCursor) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(cursor).map_err(io::Error::other)?;
        replace_file(&*self.state.disk, &self.state.directory, NAME, &bytes)
    }
}

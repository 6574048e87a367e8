//! What a volume promises, whatever happens to its power, its space and its disk. Most tests run on a simulated disk
//! ([`sim`](super::sim)) whose power fails and whose sectors go bad.
//!
//! | module | the promise |
//! |---|---|
//! | `crash` | what was acknowledged is there after any crash, and nothing half-written shows up |
//! | `writing` | nothing is kept that is not what was announced |
//! | `space`, `full` | a full disk is no broken disk, and gives the space of dead records back |
//! | `compaction`, `compaction_cost` | nothing live is lost, and how little is read for it |
//! | `damaged_records`, `damaged_start`, `missing_files` | one bad place costs the blocks that lie there, and not the volume |
//! | `probe` | a broken disk is noticed, a busy one is not taken for broken |
//! | `trash` | what was deleted comes back for a while |
//! | `volumes` | a node goes on while one of its volumes works |
//! | `model`, `support` | what the tests share |

mod compaction;
mod compaction_cost;
mod crash;
mod damaged_records;
mod damaged_start;
mod full;
mod missing_files;
pub(super) mod model;
mod probe;
mod space;
pub(super) mod support;
mod trash;
mod volumes;
mod writing;

//! The promises of a volume when its power, its space or its disk fails. Most tests run on a simulated disk
//! ([`sim`](super::sim)) whose power fails and whose sectors become bad.
//!
//! | module | the promise |
//! |---|---|
//! | `crash` | every acknowledged block is there after any crash, and no half-written one appears |
//! | `writing` | only blocks with the announced bytes are kept |
//! | `space`, `full` | a full disk is no failed disk, and the space of dead records is freed |
//! | `compaction`, `compaction_cost` | compaction loses no live block, and reads little |
//! | `damaged_records`, `damaged_start`, `missing_files` | a bad place costs the blocks that lie there, and not the volume |
//! | `open_files` | files stay open for reading, and only those that the index points into are read |
//! | `probe` | a broken disk is noticed, and a busy one is not taken for broken |
//! | `trash` | a deleted block can be restored for a while |
//! | `volumes` | a node continues while one of its volumes works |
//! | `model`, `support` | shared code of the tests |

mod compaction;
mod compaction_cost;
mod crash;
mod damaged_records;
mod damaged_start;
mod full;
mod missing_files;
pub(super) mod model;
mod open_files;
mod probe;
mod space;
pub(super) mod support;
mod trash;
mod volumes;
mod writing;

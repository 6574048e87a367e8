//! The master key, and the secrets that are sealed with it. The key is outside the database, so that whoever gets hold of the
//! database alone, such as a backup, gets no secret of an access key.
//!
//! | module | contents |
//! |---|---|
//! | `master_key` | the key, and the file that it is in |
//! | `seal` | sealing and opening secrets |
//! | `token` | sealing and opening session tokens |

mod master_key;
mod seal;
mod token;

pub use master_key::{MasterKey, MasterKeyError, MasterKeySource};
pub(crate) use seal::Vault;

//! `cairn admin account|user|group|role|key|policy|oidc`: one file per noun, written against the trait [`Iam`].
//!
//! | module | what is there |
//! |---|---|
//! | `account`, `user`, `group`, `role`, `key`, `policy`, `oidc` | the commands |
//! | `version` | the versions of policies |
//! | `holder` | `--user`, `--group` and `--role`, and removing what keeps one from being deleted |
//! | `template` | the built-in policies for one bucket |
//! | `file` | documents in files |
//! | `new_key` | showing a key that was created |

pub(super) mod account;
mod file;
pub(super) mod group;
mod holder;
pub(super) mod key;
mod new_key;
pub(super) mod oidc;
pub(super) mod policy;
pub(super) mod role;
mod template;
#[cfg(test)]
mod tests;
pub(super) mod user;
mod version;

use cairn_protocol::env::Env;
use cairn_protocol::iam::{IamError, Page};
use cairn_protocol::id::MutationId;
use cairn_protocol::metadata::FIRST_ACCOUNT_ID;
use clap::Args;

/// Entries that are asked for at once.
const PAGE: u32 = 1000;

/// The account of a command.
#[derive(Args, Clone, Debug)]
pub(super) struct AccountArgument {
    /// The account's id; by default the first account, that of the root credentials
    #[arg(long, value_name = "ID", default_value = FIRST_ACCOUNT_ID, hide_default_value = true)]
    account: String,
}

/// The path of something new.
#[derive(Args, Clone, Debug)]
struct PathArgument {
    /// Its path, which policies can name: /sales/
    #[arg(long, value_name = "PATH", default_value = "/")]
    path: String,
}

/// An id for a change.
fn mutation(env: &Env) -> Option<MutationId> {
    Some(MutationId(env.uuid_v7()))
}

/// The entries of all pages.
async fn all<T>(
    mut page: impl AsyncFnMut(Option<String>) -> Result<Page<T>, IamError>,
) -> Result<Vec<T>, IamError> {
    let mut entries = Vec::new();
    let mut after = None;
    loop {
        let next = page(after).await?;
        entries.extend(next.entries);
        match next.next {
            Some(mark) => after = Some(mark),
            None => return Ok(entries),
        }
    }
}

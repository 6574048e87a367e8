//! Quotas: a write that would exceed one is refused, in the transaction of the write.
//!
//! Each operation that adds something checks at its end. By then the counters have what it added and what it replaced, and what the
//! mutations before it in the same transaction did. A refusal rolls back all that the operation did. Deletes do not check.

use cairn_protocol::metadata::{MetadataError, Quota};
use cairn_protocol::rpc::current_user;

use crate::store::iam::HolderId;
use crate::store::usage::{self, Owners};
use crate::store::{Connection, StoreError};

/// The user whose key sent a request, by the unique id. It is read before the mutation begins, because that runs in another task.
#[derive(Clone, Debug)]
pub(super) struct Sender(Option<String>);

impl Sender {
    /// The sender of the request that this task serves.
    pub(super) fn current() -> Self {
        Self(current_user())
    }

    /// The user that what the request writes counts for; `None` for the root user, roles and anonymous senders.
    pub(super) async fn user(&self, connection: &mut Connection) -> Result<Option<HolderId>, StoreError> {
        match &self.0 {
            Some(id) => usage::find_user(connection, id).await,
            None => Ok(None),
        }
    }
}

/// Checks that what the running mutation has added is within the quotas of its bucket and its user.
///
/// # Errors
/// `QuotaExceeded`; the database's.
pub(super) async fn check(tx: &mut Connection, owners: Owners) -> Result<(), MetadataError> {
    let bucket = usage::bucket_quota(tx, owners.bucket).await?;
    check_with(tx, owners, bucket).await
}

/// Like [`check`], where the quota of the bucket is known.
///
/// # Errors
/// `QuotaExceeded`; the database's.
pub(super) async fn check_with(
    tx: &mut Connection,
    owners: Owners,
    bucket: Quota,
) -> Result<(), MetadataError> {
    match usage::exceeded(tx, owners, bucket).await? {
        Some((of, unit)) => Err(MetadataError::QuotaExceeded { of, unit }),
        None => Ok(()),
    }
}

//! The verified caller of a request.

use std::sync::Arc;

use crate::auth::{ContentSha256, Verified};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::identity::{Facts, KeyHolder};

/// The id of the only account, in the form that `x-amz-expected-bucket-owner` uses.
pub(crate) use cairn_protocol::metadata::FIRST_ACCOUNT_ID as ACCOUNT_ID;

/// A verified caller. Only a proof of identity makes one, so no operation runs without a verified caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    verified: Verified,
    holder: Arc<KeyHolder>,
    facts: Facts,
}

impl Caller {
    /// The caller that a verified signature proves.
    pub(crate) fn new(verified: Verified, holder: Arc<KeyHolder>, facts: Facts) -> Self {
        Self { verified, holder, facts }
    }

    /// The holder of the access key.
    pub(crate) fn holder(&self) -> &KeyHolder {
        &self.holder
    }

    /// What the connection and the head say about the sender.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The access key id.
    pub(crate) fn access_key(&self) -> &str {
        self.verified.access_key()
    }

    /// What the signature covers of the body.
    pub(crate) fn content(&self) -> &ContentSha256 {
        self.verified.content()
    }

    /// The proof of the caller's identity.
    pub(crate) fn verified(&self) -> &Verified {
        &self.verified
    }
}

/// Checks the bucket owner that a client expects, from the header `name`. There is one account, so the answer is the
/// same for all buckets.
///
/// # Errors
/// `InvalidBucketOwnerAWSAccountID` for a value that is not an account id, `AccessDenied` for another account.
pub(crate) fn check_owner(name: &str, claimed: &str) -> S3Result<()> {
    let is_account = claimed.len() == 12 && claimed.bytes().all(|byte| byte.is_ascii_digit());
    if !is_account {
        return Err(S3Error::with_message(
            ErrorCode::InvalidBucketOwnerAWSAccountID,
            format!(
                "The value of the expected bucket owner parameter must be an AWS Account ID... [{claimed}]"
            ),
        )
        .detail("ArgumentName", name));
    }
    if claimed == ACCOUNT_ID { Ok(()) } else { Err(S3Error::new(ErrorCode::AccessDenied)) }
}

/// The permission that an operation needs, by its name in IAM, such as `s3:PutObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action(pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_expected_owner_is_denied() {
        let code = |claimed| check_owner("x", claimed).err().map(|error| error.code());
        assert_eq!(code(ACCOUNT_ID), None);
        assert_eq!(code("111122223333"), Some(ErrorCode::AccessDenied));
        for claimed in ["", "1", "abc", "0000000000000", "00000000000a"] {
            assert_eq!(code(claimed), Some(ErrorCode::InvalidBucketOwnerAWSAccountID), "{claimed}");
        }
    }
}

//! Who sent a request, once that is proven.

use crate::auth::{ContentSha256, Verified};
use crate::error::{ErrorCode, S3Error, S3Result};

/// The one account there is, as `x-amz-expected-bucket-owner` names accounts.
pub(crate) const ACCOUNT_ID: &str = "000000000000";

/// A verified caller. It is made from the proof only, so no operation runs without one.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    verified: Verified,
}

impl Caller {
    /// Who is behind a verified signature.
    pub(crate) fn new(verified: Verified) -> Self {
        Self { verified }
    }

    /// The access key id.
    pub(crate) fn access_key(&self) -> &str {
        self.verified.access_key()
    }

    /// What the signature says of the body.
    pub(crate) fn content(&self) -> &ContentSha256 {
        self.verified.content()
    }

    /// The proof.
    pub(crate) fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Whether the caller may do this. The only credentials are the root's, who may do everything.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(crate) fn authorise(&self, _action: Action) -> S3Result<()> {
        Ok(())
    }
}

/// Checks a claim about who owns a bucket, made in the header `name`: with one account, it is right or wrong for all
/// buckets.
///
/// # Errors
/// `InvalidBucketOwnerAWSAccountID` for what is no account, `AccessDenied` for another one.
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

/// What IAM calls the permission that an operation needs, such as `s3:PutObject`.
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

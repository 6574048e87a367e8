//! Who sent a request, once that is proven.

use crate::auth::{ContentSha256, Verified};
use crate::error::{ErrorCode, S3Error, S3Result};

/// The one account there is, as `x-amz-expected-bucket-owner` names accounts.
pub const ACCOUNT_ID: &str = "000000000000";

/// The canonical user id of its owner: SHA-256 of "root", for S3 shows 64 hex digits.
pub const OWNER_ID: &str = "4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2";

/// The name of its owner.
pub const OWNER_NAME: &str = "root";

/// A verified caller. It is made from the proof only, so no operation runs without one.
#[derive(Clone, Debug)]
pub struct Caller {
    verified: Verified,
}

impl Caller {
    /// Who is behind a verified signature.
    pub fn new(verified: Verified) -> Self {
        Self { verified }
    }

    /// The access key id.
    pub fn access_key(&self) -> &str {
        self.verified.access_key()
    }

    /// What the signature says of the body.
    pub fn content(&self) -> &ContentSha256 {
        self.verified.content()
    }

    /// The proof.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Whether the caller may do this. The only credentials are the root's, who may do everything.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn authorise(&self, _action: Action) -> S3Result<()> {
        Ok(())
    }
}

/// Checks a claim about who owns a bucket, made in the header `name`: with one account, it is right or wrong for all
/// buckets.
///
/// # Errors
/// `InvalidBucketOwnerAWSAccountID` for what is no account, `AccessDenied` for another one.
pub fn check_owner(name: &str, claimed: &str) -> S3Result<()> {
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
pub struct Action(pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_id_is_the_hash_of_the_name() {
        assert_eq!(crate::auth::sha256_hex(OWNER_NAME.as_bytes()), OWNER_ID);
    }

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

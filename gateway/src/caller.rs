//! The caller of a request.

use std::sync::Arc;

use cairn_policy::acl::ANONYMOUS_ID;
use cairn_protocol::metadata::{AccessKeyRef, Account, Identity};

use crate::auth::{ChunkSigner, ContentSha256, Verified};
use crate::error::{ErrorCode, S3Error, S3Result};
use crate::identity::{Facts, KeyHolder};

/// The caller of a request: nobody in particular, or the holder of an access key. Only a proof of identity makes the latter.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    proof: Proof,
    facts: Facts,
}

#[derive(Clone, Debug)]
enum Proof {
    /// There is no signature. What the client says about the body is all that there is.
    Anonymous(ContentSha256),
    /// A signature that was verified, whose key it is, and the key with the token of its session.
    Signed(Box<Verified>, Arc<KeyHolder>, AccessKeyRef),
}

impl Caller {
    /// The caller that a verified signature proves.
    pub(crate) fn new(verified: Verified, holder: Arc<KeyHolder>, key: AccessKeyRef, facts: Facts) -> Self {
        Self { proof: Proof::Signed(Box::new(verified), holder, key), facts }
    }

    /// The caller of a request without a signature.
    pub(crate) fn anonymous(content: ContentSha256, facts: Facts) -> Self {
        Self { proof: Proof::Anonymous(content), facts }
    }

    /// The holder of the access key; `None` for an anonymous request.
    pub(crate) fn holder(&self) -> Option<&Arc<KeyHolder>> {
        match &self.proof {
            Proof::Anonymous(_) => None,
            Proof::Signed(_, holder, _) => Some(holder),
        }
    }

    /// The account; `None` for an anonymous request.
    pub(crate) fn account(&self) -> Option<&Account> {
        self.holder().map(|holder| holder.identity().account())
    }

    /// The unique id of the user whose key it is, or whose session; `None` for other callers.
    pub(crate) fn user(&self) -> Option<&str> {
        match self.holder()?.identity() {
            Identity::User { id, .. } => Some(id),
            Identity::Root { .. } | Identity::Role { .. } => None,
        }
    }

    /// The account that owns what the caller makes. What an anonymous request makes belongs to an account that nobody has.
    pub(crate) fn owner(&self) -> Account {
        self.account().cloned().unwrap_or_else(|| Account {
            id: String::new(),
            canonical_id: ANONYMOUS_ID.to_owned(),
            display_name: String::new(),
        })
    }

    /// What the connection and the head say about the sender.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The access key, with the token of its session; `None` for an anonymous request.
    pub(crate) fn key(&self) -> Option<&AccessKeyRef> {
        match &self.proof {
            Proof::Anonymous(_) => None,
            Proof::Signed(_, _, key) => Some(key),
        }
    }

    /// The access key id; `None` for an anonymous request.
    pub(crate) fn access_key(&self) -> Option<&str> {
        self.verified().map(Verified::access_key)
    }

    /// What is said about the body.
    pub(crate) fn content(&self) -> &ContentSha256 {
        match &self.proof {
            Proof::Anonymous(content) => content,
            Proof::Signed(verified, ..) => verified.content(),
        }
    }

    /// The chain of chunk signatures, if there is one.
    pub(crate) fn chunk_signer(&self) -> Option<ChunkSigner> {
        self.verified().and_then(Verified::chunk_signer)
    }

    /// The proof of the caller's identity; `None` for an anonymous request.
    pub(crate) fn verified(&self) -> Option<&Verified> {
        match &self.proof {
            Proof::Anonymous(_) => None,
            Proof::Signed(verified, ..) => Some(verified),
        }
    }
}

/// Checks the form of a bucket owner that a client expects, from the header `name`. Whether it is the owner is checked with the
/// permissions of the request.
///
/// # Errors
/// `InvalidBucketOwnerAWSAccountID` for a value that is not an account id.
pub(crate) fn check_owner(name: &str, claimed: &str) -> S3Result<()> {
    let is_account = claimed.len() == 12 && claimed.bytes().all(|byte| byte.is_ascii_digit());
    if is_account {
        return Ok(());
    }
    Err(S3Error::with_message(
        ErrorCode::InvalidBucketOwnerAWSAccountID,
        format!("The value of the expected bucket owner parameter must be an AWS Account ID... [{claimed}]"),
    )
    .detail("ArgumentName", name))
}

/// The permission that an operation needs, by its name in IAM, such as `s3:PutObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action(pub &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_owner_is_an_account_id() {
        let code = |claimed| check_owner("x", claimed).err().map(|error| error.code());
        assert_eq!(code("111122223333"), None);
        for claimed in ["", "1", "abc", "0000000000000", "00000000000a"] {
            assert_eq!(code(claimed), Some(ErrorCode::InvalidBucketOwnerAWSAccountID), "{claimed}");
        }
    }
}

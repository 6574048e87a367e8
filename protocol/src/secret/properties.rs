//! The promise: only the signed text is accepted as a block token, and no text makes the check panic.

use proptest::prelude::*;

use super::{BlockOperation, ClusterSecret};
use crate::env::Timestamp;
use crate::id::{BlockId, NodeId};

const OPERATION: BlockOperation = BlockOperation::Get;

fn secret() -> ClusterSecret {
    ClusterSecret::new("0123456789abcdef0123456789abcdef").unwrap()
}

fn passes(token: &str, now: u64) -> bool {
    let (block, node) = (BlockId(uuid::Uuid::from_u128(1)), NodeId(uuid::Uuid::from_u128(2)));
    secret().check_block_token(token, OPERATION, block, node, Timestamp(now)).is_ok()
}

fn token(expires_at: u64) -> String {
    let (block, node) = (BlockId(uuid::Uuid::from_u128(1)), NodeId(uuid::Uuid::from_u128(2)));
    secret().block_token(OPERATION, block, node, Timestamp(expires_at))
}

proptest! {
    #[test]
    fn any_text_is_refused_as_a_block_token(text in any::<String>(), fields in "[0-9a-f]{0,8}[.][+0-9]{0,21}[.][0-9a-f]{0,70}") {
        prop_assert!(!passes(&text, 0));
        prop_assert!(!passes(&fields, 0));
        let with_our_key = format!("{}.{fields}", secret().key_id());
        prop_assert!(!passes(&with_our_key, 0));
    }

    /// Hexadecimal digits of the signature may be upper case, because the signature is the same.
    #[test]
    fn a_token_with_another_byte_anywhere_is_refused(
        expires_at: u64, at: prop::sample::Index, byte in b' '..b'~',
    ) {
        let token = token(expires_at);
        prop_assert!(passes(&token, expires_at));
        let mut changed = token.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(!changed[at].eq_ignore_ascii_case(&byte));
        changed[at] = byte;
        prop_assert!(!passes(std::str::from_utf8(&changed).unwrap(), 0));
    }

    #[test]
    fn a_token_that_is_cut_or_continued_is_refused(
        expires_at: u64, keep: prop::sample::Index, more in "[0-9a-f.]{1,8}",
    ) {
        let token = token(expires_at);
        prop_assert!(!passes(&token[..keep.index(token.len())], 0));
        let continued = format!("{token}{more}");
        prop_assert!(!passes(&continued, 0));
    }
}

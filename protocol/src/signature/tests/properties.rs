//! The promise: a call is admitted only with the `Authorization` that was signed for it, and grants with what was signed;
//! no text makes the checks panic.

use proptest::prelude::*;

use super::super::head::Head;
use super::{PATH, introduced, secret};
use crate::env::Timestamp;
use crate::id::{BlockId, NodeId};
use crate::metadata::{Grant, GrantTarget};

fn any_field() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9a-f]{32}", "[0-9a-f]{64}", "[+0-9]{1,20}", any::<String>()]
}

proptest! {
    #[test]
    fn no_text_makes_the_parsing_of_a_call_s_head_panic(
        text in any::<String>(), fields in prop::collection::vec(any_field(), 0..10),
    ) {
        let _ = Head::parse(Some(&text));
        let authorization = format!("Cairn {}", fields.join("."));
        if let Ok((key_id, head, signature)) = Head::parse(Some(&authorization)) {
            // A parsed text, written again, parses to the same value.
            let again = head.authorization(key_id, signature);
            prop_assert_eq!(Head::parse(Some(&again)), Ok((key_id, head, signature)));
        }
    }

    /// Hexadecimal digits may be upper case, because the signed value is the same.
    #[test]
    fn a_call_with_another_byte_in_its_authorization_is_not_admitted(
        at: prop::sample::Index, byte in b' '..b'~', body in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let world = introduced();
        let signed = world.signer.sign("POST", PATH, &body).authorization;
        let mut changed = signed.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(!changed[at].eq_ignore_ascii_case(&byte));
        changed[at] = byte;
        prop_assert!(world.admit(std::str::from_utf8(&changed).unwrap()).is_err());
        prop_assert!(world.admit(&signed).is_ok());
    }

    #[test]
    fn a_grant_with_another_value_anywhere_does_not_match_its_signature(
        block: u128, nodes in prop::collection::vec(any::<u128>(), 1..4), sizes: [u32; 3], change in 1..u32::MAX, which in 0..6u8,
    ) {
        let target = |node| GrantTarget { node: NodeId(uuid::Uuid::from_u128(node)), address: String::new() };
        let [block_size, replication, min_replicas] = sizes;
        let mut grant = Grant {
            block: BlockId(uuid::Uuid::from_u128(block)),
            targets: nodes.into_iter().map(target).collect(),
            block_size: u64::from(block_size),
            replication,
            min_replicas,
            expires_at: Timestamp(u64::from(change)),
            lifetime_ms: 0,
            signature: String::new(),
        };
        grant.signature = secret().sign("grant", &grant.message());
        prop_assert!(secret().verify("grant", &grant.message(), &grant.signature).is_ok());
        match which {
            0 => grant.block = BlockId(uuid::Uuid::from_u128(block ^ u128::from(change))),
            1 => grant.targets.push(target(u128::from(change))),
            2 => grant.block_size ^= u64::from(change),
            3 => grant.replication ^= change,
            4 => grant.min_replicas ^= change,
            _ => grant.expires_at = Timestamp(0),
        }
        prop_assert!(secret().verify("grant", &grant.message(), &grant.signature).is_err());
    }
}

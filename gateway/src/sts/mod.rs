//! The Security Token Service: who the sender is, and temporary credentials.
//!
//! Sources: STS API Reference; IAM User Guide, "Temporary security credentials in IAM".
//!
//! The gateway decides whether a session may be opened. The metanode opens it: it seals all that the session is into its token, so
//! that nothing is stored.

mod assume_role;
mod caller_identity;
mod role;
mod session;
mod session_token;
mod trust_keys;
mod web_identity;

use crate::query_protocol::Operation;

/// The operation that needs no signature: its token proves who the sender is.
pub(crate) const UNSIGNED: &str = "AssumeRoleWithWebIdentity";

/// All operations.
const OPERATIONS: [&[Operation]; 4] = [
    caller_identity::OPERATIONS,
    assume_role::OPERATIONS,
    session_token::OPERATIONS,
    web_identity::OPERATIONS,
];

/// The operation of this name.
pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().flat_map(|operations| operations.iter()).find(|(other, _)| *other == name)
}

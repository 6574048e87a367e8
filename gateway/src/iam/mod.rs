//! The IAM API: users, groups, roles, access keys, policies and OpenID Connect providers of the sender's account.
//!
//! Sources: IAM API Reference; Service Authorization Reference, "Actions, resources, and condition keys for AWS Identity and
//! Access Management". One file per noun. Each operation reads its parameters, checks that the sender may do it on the ARN of what
//! it is about, and calls the metanode. Everything that a request names belongs to the sender's own account, so no request
//! reaches another one.
//!
//! | module | what is there |
//! |---|---|
//! | `users`, `groups`, `roles`, `access_keys`, `policies`, `versions`, `attachments`, `inline`, `boundaries`, `providers`, `tags`, `account` | the operations |
//! | `absent` | what users and roles of AWS may have and those of Cairn never have |
//! | `target` | the user, group or role that a request names |
//! | `paging` | pages of listings |
//! | `documents` | elements that several answers have, and policy documents |

mod absent;
mod access_keys;
mod account;
mod attachments;
mod boundaries;
mod documents;
mod groups;
mod inline;
mod paging;
mod policies;
mod providers;
mod roles;
mod tags;
mod target;
mod users;
mod versions;

pub(crate) use documents::trust_policy;

use crate::query_protocol::Operation;

/// All operations.
const OPERATIONS: [&[Operation]; 13] = [
    users::OPERATIONS,
    groups::OPERATIONS,
    roles::OPERATIONS,
    access_keys::OPERATIONS,
    policies::OPERATIONS,
    versions::OPERATIONS,
    attachments::OPERATIONS,
    inline::OPERATIONS,
    boundaries::OPERATIONS,
    providers::OPERATIONS,
    tags::OPERATIONS,
    account::OPERATIONS,
    absent::OPERATIONS,
];

/// The operation of this name.
pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().flat_map(|operations| operations.iter()).find(|(other, _)| *other == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_operation_is_there_twice() {
        let names: Vec<_> = OPERATIONS.iter().flat_map(|list| list.iter().map(|(name, _)| *name)).collect();
        let different: BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert!(operation("CreateUser").is_some());
        assert!(operation("createuser").is_none());
    }
}

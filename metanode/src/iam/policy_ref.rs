//! Finding a managed policy by its ARN or its name.

use cairn_protocol::iam::{EntityKind, IamError};

use super::built_in::BuiltIn;
use super::{arns, built_in, invalid, no_such};
use crate::store::Connection;
use crate::store::iam::policies::{self, Policy};
use crate::store::iam::{AccountNumber, PolicyId};

/// The account that asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct PolicyAccount<'a> {
    pub(super) number: AccountNumber,
    pub(super) id: &'a str,
}

/// A managed policy.
#[derive(Debug)]
pub(super) enum FoundPolicy {
    /// Of the account.
    Own(Box<Policy>),
    /// Built in.
    BuiltIn(&'static BuiltIn),
}

impl FoundPolicy {
    /// The number that attachments have.
    pub(super) fn policy(&self) -> PolicyId {
        match self {
            Self::Own(policy) => policy.policy,
            Self::BuiltIn(built_in) => built_in.policy(),
        }
    }

    /// The policy, if it can be changed.
    pub(super) fn own(self) -> Result<Policy, IamError> {
        match self {
            Self::Own(policy) => Ok(*policy),
            Self::BuiltIn(built_in) => {
                Err(invalid(format!("policy {} is built in and cannot be changed", built_in.name)))
            }
        }
    }
}

/// The ARN of a policy of an account.
pub(super) fn arn(account: &str, policy: &Policy) -> String {
    arns::policy(account, &policy.properties.path, &policy.properties.name)
}

/// Finds the policy of this ARN; or of this name, in the account first and then among those built in.
pub(super) async fn find(
    connection: &mut Connection,
    account: PolicyAccount<'_>,
    text: &str,
) -> Result<FoundPolicy, IamError> {
    let missing = || no_such(EntityKind::Policy, text);
    let is_arn = text.starts_with("arn:");
    let name = if is_arn {
        let (owner, name) = arns::parse_policy(text).ok_or_else(missing)?;
        if owner == arns::AWS {
            let found = built_in::by_name(name).filter(|found| found.arn() == text);
            return found.map(FoundPolicy::BuiltIn).ok_or_else(missing);
        }
        if owner != account.id {
            return Err(missing());
        }
        name
    } else {
        text
    };
    match policies::find(connection, account.number, name).await? {
        Some(policy) if is_arn && arn(account.id, &policy) != text => Err(missing()),
        Some(policy) => Ok(FoundPolicy::Own(Box::new(policy))),
        None if is_arn => Err(missing()),
        None => built_in::by_name(name).map(FoundPolicy::BuiltIn).ok_or_else(missing),
    }
}

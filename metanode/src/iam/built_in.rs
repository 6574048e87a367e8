//! The managed policies that every account has and nobody can change. They are AWS's of the same names, as far as Cairn has what
//! they are about. A new release may change their documents; their numbers never change, because attachments have them.

use cairn_protocol::env::Timestamp;
use cairn_protocol::iam::ManagedPolicy;

use super::arns;
use crate::store::iam::PolicyId;

/// A managed policy that is built in.
#[derive(Debug)]
pub(super) struct BuiltIn {
    number: i64,
    id: &'static str,
    pub(super) name: &'static str,
    description: &'static str,
    pub(super) document: &'static str,
}

/// The version of all of them.
pub(super) const VERSION: u32 = 1;

/// All of them, in the order of their names.
pub(super) const ALL: [BuiltIn; 5] = [
    BuiltIn {
        number: -1,
        id: "ANPAAAAAAAAAAAAAAAAAB",
        name: "AdministratorAccess",
        description: "Provides full access to all services and resources.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    },
    BuiltIn {
        number: -2,
        id: "ANPAAAAAAAAAAAAAAAAAC",
        name: "AmazonS3FullAccess",
        description: "Provides full access to all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"*"}]}"#,
    },
    BuiltIn {
        number: -3,
        id: "ANPAAAAAAAAAAAAAAAAAD",
        name: "AmazonS3ReadOnlyAccess",
        description: "Provides read only access to all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*"],"Resource":"*"}]}"#,
    },
    BuiltIn {
        number: -4,
        id: "ANPAAAAAAAAAAAAAAAAAE",
        name: "IAMFullAccess",
        description: "Provides full access to IAM.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}"#,
    },
    BuiltIn {
        number: -5,
        id: "ANPAAAAAAAAAAAAAAAAAF",
        name: "IAMReadOnlyAccess",
        description: "Provides read only access to IAM.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"],"Resource":"*"}]}"#,
    },
];

impl BuiltIn {
    /// The number that attachments have.
    pub(super) fn policy(&self) -> PolicyId {
        PolicyId(self.number)
    }

    /// The ARN.
    pub(super) fn arn(&self) -> String {
        arns::policy(arns::AWS, "/", self.name)
    }

    /// The policy as listings of an account show it, where it applies to so many.
    pub(super) fn entry(&self, (attachments, boundaries): (u64, u64)) -> ManagedPolicy {
        ManagedPolicy {
            arn: self.arn(),
            id: self.id.to_owned(),
            path: "/".to_owned(),
            name: self.name.to_owned(),
            description: self.description.to_owned(),
            default_version: VERSION,
            attachments,
            boundaries,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }
}

/// The policy of this number.
pub(super) fn by_number(policy: PolicyId) -> Option<&'static BuiltIn> {
    ALL.iter().find(|built_in| built_in.policy() == policy)
}

/// The policy of this name, whatever its case.
pub(super) fn by_name(name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|built_in| built_in.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::rules;

    #[test]
    fn numbers_and_ids_are_different_and_documents_are_within_the_limit() {
        for (at, built_in) in ALL.iter().enumerate() {
            assert!(built_in.number < 0);
            assert_eq!(built_in.id.len(), 21);
            assert_eq!(rules::document(built_in.document, rules::MANAGED_MAX), Ok(()));
            for other in &ALL[at + 1..] {
                assert!(
                    built_in.number != other.number && built_in.id != other.id && built_in.name < other.name
                );
            }
        }
    }
}

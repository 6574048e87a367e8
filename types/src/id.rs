//! Identifiers. Each is a UUID with its own type, so that the compiler keeps them apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The sixteen bytes, in the order in which the ids sort.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id of these bytes; `None` unless there are sixteen.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Uuid::from_slice(bytes).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.as_hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id! {
    /// A block. UUIDv7 that the metanode chooses, so that the id contains the block's age.
    BlockId
}
id! {
    /// A datanode. Chosen when its data directory is created.
    NodeId
}
id! {
    /// A volume (one data directory) of a datanode. Chosen when the directory is created.
    VolumeId
}
id! {
    /// An opening: a start of a metanode on its database. Chosen at random, to distinguish two copies of one database file that
    /// were both used since.
    OpeningId
}
id! {
    /// A cluster. Datanodes keep the id of the cluster with which they first registered.
    ClusterId
}
id! {
    /// A version of an object. UUIDv7 that the gateway chooses, so that a repeated commit is recognised.
    VersionId
}
id! {
    /// A multipart upload. UUIDv7 that the gateway chooses.
    UploadId
}
id! {
    /// One upload of one part. The gateway chooses a new id for a part that is sent again.
    PartId
}
id! {
    /// A change of any kind that a gateway requests. UUIDv7 that the gateway chooses, so that a repetition is recognised.
    MutationId
}

impl BlockId {
    /// When the metanode chose this id, in milliseconds since the Unix epoch (RFC 9562, section 5.7);
    /// `None` for ids that are not UUIDv7.
    pub fn created_at_ms(&self) -> Option<u64> {
        if self.0.get_version_num() != 7 {
            return None;
        }
        let bytes = self.0.as_bytes();
        let mut ms = [0u8; 8];
        ms[2..].copy_from_slice(&bytes[..6]);
        Some(u64::from_be_bytes(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 9562, appendix A.6: 2022-02-22 14:22:22 -05:00.
    #[test]
    fn a_block_id_contains_the_time_of_its_creation() {
        let id: BlockId = "017F22E2-79B0-7CC3-98C4-DC0C0C07398F".parse().unwrap();
        assert_eq!(id.created_at_ms(), Some(1_645_557_742_000));
    }

    #[test]
    fn a_random_uuid_has_no_age() {
        let id: BlockId = "919108f7-52d1-4320-9bac-f847db4148a8".parse().unwrap();
        assert_eq!(id.created_at_ms(), None);
    }
}

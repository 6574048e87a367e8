//! How the attributes of a version are kept in a column: as a message of Protocol Buffers, whose fields have numbers instead of
//! names. A later release can add fields, and reads what this one wrote.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_protocol::metadata::{
    Account, ChecksumAlgorithm, ChecksumKind, ObjectAccess, ObjectAttributes, ObjectChecksum, Tags,
};
use prost::Message;

use super::sql_values::{optional_json, to_json};
use super::{Row, StoreError};

/// The fields of `ObjectAttributes`. A number is never used for another field.
#[derive(Clone, PartialEq, Message)]
struct Attributes {
    /// The header that nearly every object has.
    #[prost(string, optional, tag = "1")]
    content_type: Option<String>,
    /// The other headers.
    #[prost(btree_map = "string, string", tag = "2")]
    headers: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "3")]
    user_metadata: BTreeMap<String, String>,
    #[prost(string, optional, tag = "4")]
    storage_class: Option<String>,
    #[prost(message, optional, tag = "5")]
    checksum: Option<Checksum>,
    #[prost(uint64, optional, tag = "6")]
    block_size: Option<u64>,
    #[prost(message, optional, tag = "7")]
    access: Option<Access>,
}

/// Owner and ACL, for an object that is not its bucket's alone.
#[derive(Clone, PartialEq, Message)]
struct Access {
    #[prost(message, optional, tag = "1")]
    owner: Option<Owner>,
    #[prost(string, optional, tag = "2")]
    acl: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Owner {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    canonical_id: String,
    #[prost(string, tag = "3")]
    display_name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Checksum {
    #[prost(enumeration = "Algorithm", tag = "1")]
    algorithm: i32,
    /// Whether it is of the parts' checksums.
    #[prost(bool, tag = "2")]
    is_composite: bool,
    #[prost(bytes = "vec", tag = "3")]
    value: Vec<u8>,
    /// Instead of `value`, a value that is not base64.
    #[prost(string, optional, tag = "4")]
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum Algorithm {
    Crc64Nvme = 0,
    Crc32 = 1,
    Crc32c = 2,
    Sha1 = 3,
    Sha256 = 4,
}

const CONTENT_TYPE: &str = "content-type";

/// The form of attributes for a column; `None` for the default ones.
pub(crate) fn to_attributes(attributes: &ObjectAttributes) -> Option<Vec<u8>> {
    // Locks have a table of their own.
    let ObjectAttributes { headers, user_metadata, storage_class, checksum, block_size, access, lock: _ } =
        attributes.clone();
    let mut message = Attributes {
        content_type: None,
        headers,
        user_metadata,
        storage_class,
        checksum: checksum.as_ref().map(to_checksum),
        block_size,
        access: access.map(|access| to_access(*access)),
    };
    message.content_type = message.headers.remove(CONTENT_TYPE);
    (message != Attributes::default()).then(|| message.encode_to_vec())
}

fn to_access(ObjectAccess { owner, acl }: ObjectAccess) -> Access {
    Access { owner: owner.map(to_owner), acl }
}

fn to_owner(Account { id, canonical_id, display_name }: Account) -> Owner {
    Owner { id, canonical_id, display_name }
}

fn from_access(Access { owner, acl }: Access) -> ObjectAccess {
    let owner =
        owner.map(|Owner { id, canonical_id, display_name }| Account { id, canonical_id, display_name });
    ObjectAccess { owner, acl }
}

fn to_checksum(checksum: &ObjectChecksum) -> Checksum {
    let algorithm = match checksum.algorithm {
        ChecksumAlgorithm::Crc32 => Algorithm::Crc32,
        ChecksumAlgorithm::Crc32c => Algorithm::Crc32c,
        ChecksumAlgorithm::Crc64Nvme => Algorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1 => Algorithm::Sha1,
        ChecksumAlgorithm::Sha256 => Algorithm::Sha256,
    };
    // Only what is read back as the same text.
    let value = STANDARD.decode(&checksum.value).ok();
    let value = value.filter(|value| STANDARD.encode(value) == checksum.value);
    let text = value.is_none().then(|| checksum.value.clone());
    let is_composite = checksum.kind == ChecksumKind::Composite;
    Checksum { algorithm: algorithm.into(), is_composite, value: value.unwrap_or_default(), text }
}

/// Reads attributes from the column `attributes`.
pub(crate) fn attributes(row: &Row) -> Result<ObjectAttributes, StoreError> {
    let stored: Option<&[u8]> = row.try_get("attributes")?;
    let Some(stored) = stored else { return Ok(ObjectAttributes::default()) };
    decode(stored).ok_or(StoreError::Corrupt { column: "attributes" })
}

fn decode(stored: &[u8]) -> Option<ObjectAttributes> {
    let Attributes { content_type, mut headers, user_metadata, storage_class, checksum, block_size, access } =
        Attributes::decode(stored).ok()?;
    headers.extend(content_type.map(|content_type| (CONTENT_TYPE.to_owned(), content_type)));
    let checksum = match checksum {
        None => None,
        Some(checksum) => Some(from_checksum(&checksum)?),
    };
    Some(ObjectAttributes {
        headers,
        user_metadata,
        storage_class,
        checksum,
        block_size,
        lock: None,
        access: access.map(from_access).map(Box::new),
    })
}

fn from_checksum(checksum: &Checksum) -> Option<ObjectChecksum> {
    let algorithm = match Algorithm::try_from(checksum.algorithm).ok()? {
        Algorithm::Crc32 => ChecksumAlgorithm::Crc32,
        Algorithm::Crc32c => ChecksumAlgorithm::Crc32c,
        Algorithm::Crc64Nvme => ChecksumAlgorithm::Crc64Nvme,
        Algorithm::Sha1 => ChecksumAlgorithm::Sha1,
        Algorithm::Sha256 => ChecksumAlgorithm::Sha256,
    };
    let kind = if checksum.is_composite { ChecksumKind::Composite } else { ChecksumKind::FullObject };
    let value = checksum.text.clone().unwrap_or_else(|| STANDARD.encode(&checksum.value));
    Some(ObjectChecksum { algorithm, kind, value })
}

/// The form of tags for a column; `None` for none.
pub(crate) fn to_tags(tags: &Tags) -> Result<Option<String>, StoreError> {
    if tags.is_empty() { Ok(None) } else { to_json(tags, "tags").map(Some) }
}

/// Reads tags from the column `tags`.
pub(crate) fn tags(row: &Row) -> Result<Tags, StoreError> {
    Ok(optional_json(row, "tags")?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn checksums() -> impl Strategy<Value = ObjectChecksum> {
        let algorithms = prop_oneof![
            Just(ChecksumAlgorithm::Crc32),
            Just(ChecksumAlgorithm::Crc32c),
            Just(ChecksumAlgorithm::Crc64Nvme),
            Just(ChecksumAlgorithm::Sha1),
            Just(ChecksumAlgorithm::Sha256),
        ];
        let kinds = prop_oneof![Just(ChecksumKind::FullObject), Just(ChecksumKind::Composite)];
        let base64 = any::<Vec<u8>>().prop_map(|bytes| STANDARD.encode(bytes));
        let values = prop_oneof![base64, "\\PC{0,9}"];
        (algorithms, kinds, values).prop_map(|(algorithm, kind, value)| ObjectChecksum {
            algorithm,
            kind,
            value,
        })
    }

    proptest! {
        #[test]
        fn attributes_are_read_as_they_were_written(
            headers in btree_map("content-type|cache-control|expires", "\\PC{0,20}", 0..3),
            user_metadata in btree_map("[a-z]{0,9}", "\\PC{0,20}", 0..3),
            storage_class in option::of("[A-Z]{1,9}"),
            checksum in option::of(checksums()),
            block_size in option::of(any::<u64>()),
            access in option::of((any::<bool>(), option::of("\\PC{0,9}"))),
        ) {
            let access = access
                .map(|(is_owned, acl)| Box::new(ObjectAccess { owner: is_owned.then(Account::first), acl }));
            let given = ObjectAttributes { headers, user_metadata, storage_class, checksum, block_size, lock: None, access };
            let stored = to_attributes(&given);
            prop_assert_eq!(stored.is_none(), given == ObjectAttributes::default());
            prop_assert_eq!(decode(&stored.unwrap_or_default()), Some(given));
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            decode(&bytes);
        }
    }

    /// What this release writes must be readable for ever. The bytes were written by hand after the encoding guide.
    #[test]
    fn the_numbers_of_fields_do_not_change() {
        let bytes = b"\x0a\x0atext/plain\x12\x0f\x0a\x07expires\x12\x04soon\x1a\x06\x0a\x01k\x12\x01v\x22\x02IA\x2a\x06\x08\x01\x1a\x02\x01\x02\x30\x05";
        let expected = ObjectAttributes {
            headers: [("content-type", "text/plain"), ("expires", "soon")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            user_metadata: [("k".to_owned(), "v".to_owned())].into(),
            storage_class: Some("IA".to_owned()),
            checksum: Some(ObjectChecksum {
                algorithm: ChecksumAlgorithm::Crc32,
                kind: ChecksumKind::FullObject,
                value: "AQI=".to_owned(),
            }),
            block_size: Some(5),
            lock: None,
            access: None,
        };
        assert_eq!(decode(bytes), Some(expected));
    }
}

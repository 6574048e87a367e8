//! The names of versions that clients see, and the state of a bucket's versioning.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::id::VersionId;

/// Whether a bucket keeps the versions that are overwritten and deleted.
///
/// Source: Amazon S3 User Guide, "How S3 Versioning works".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// It was never enabled: every key has one version at most, the null version.
    #[default]
    Never,
    /// Each write makes a version with an id of its own.
    Enabled,
    /// It was enabled once: writes make the null version, and the versions with ids stay.
    Suspended,
}

/// The version id that clients see.
///
/// Its text is `null`, or 32 characters of base64 (the URL alphabet) for 8 bytes of sequence and 16 bytes of the version's id. The
/// sequence leads to the row without an index, and the id proves that the row is the one that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VersionName {
    /// The version that was written while versioning was not enabled. A key has one at most.
    Null,
    /// A version that was written while versioning was enabled.
    Id {
        /// Its place in the order of versions.
        sequence: u64,
        /// Its id.
        version: VersionId,
    },
}

/// A text that is no version id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid version id specified")]
pub struct InvalidVersionName;

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id { sequence, version } => {
                let mut bytes = [0; 24];
                bytes[..8].copy_from_slice(&sequence.to_be_bytes());
                bytes[8..].copy_from_slice(version.as_bytes());
                f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
            }
        }
    }
}

impl FromStr for VersionName {
    type Err = InvalidVersionName;

    fn from_str(text: &str) -> Result<Self, InvalidVersionName> {
        if text == "null" {
            return Ok(Self::Null);
        }
        let bytes: [u8; 24] = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(InvalidVersionName)?;
        let (sequence, version) = bytes.split_at(8);
        let sequence = sequence.try_into().map(u64::from_be_bytes).map_err(|_| InvalidVersionName)?;
        let version = VersionId::from_slice(version).ok_or(InvalidVersionName)?;
        if i64::try_from(sequence).is_err() {
            return Err(InvalidVersionName);
        }
        Ok(Self::Id { sequence, version })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(sequence in 0..=i64::MAX.unsigned_abs(), id: [u8; 16]) {
            let name = VersionName::Id { sequence, version: VersionId::from_slice(&id).unwrap() };
            let text = name.to_string();
            prop_assert_eq!(text.len(), 32);
            prop_assert_eq!(text.parse(), Ok(name));
        }

        #[test]
        fn other_texts_are_refused_without_a_panic(text: String) {
            if let Ok(name) = text.parse::<VersionName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }

    #[test]
    fn null_is_a_name() {
        assert_eq!("null".parse(), Ok(VersionName::Null));
        assert_eq!(VersionName::Null.to_string(), "null");
        for wrong in ["", "Null", "3HL4", "________________________________"] {
            assert_eq!(wrong.parse::<VersionName>(), Err(InvalidVersionName), "{wrong}");
        }
    }
}

//! `x-amz-storage-class`.

use http::HeaderMap;

use crate::error::{ErrorCode, S3Error, S3Result};

/// The classes of general purpose buckets. All are stored alike, unless the cluster's configuration says how
/// many copies one has; the name is kept and shown.
const CLASSES: [&str; 8] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
];

/// A name that the cluster's configuration may have can be this long.
const NAME_LENGTH_MAX: usize = 64;

/// The class asked for; `None` for STANDARD. One that is none of AWS's ([`is_own_class`]) may still be none
/// of the cluster's either: its configuration tells.
///
/// # Errors
/// `InvalidStorageClass`.
pub fn parse_storage_class(headers: &HeaderMap) -> S3Result<Option<String>> {
    let Some(value) = headers.get("x-amz-storage-class") else { return Ok(None) };
    let name = value.to_str().unwrap_or_default();
    match CLASSES.iter().find(|class| **class == name) {
        Some(&"STANDARD") => Ok(None),
        Some(class) => Ok(Some((*class).to_owned())),
        None if is_name(name) => Ok(Some(name.to_owned())),
        None => Err(S3Error::new(ErrorCode::InvalidStorageClass).detail("StorageClassRequested", name)),
    }
}

/// Whether a class is none of AWS's, so that the cluster must know it.
pub fn is_own_class(name: &str) -> bool {
    !CLASSES.contains(&name)
}

/// Names are written as AWS writes its own.
fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn documented_classes_are_accepted_and_others_refused() {
        let parse = |value| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-storage-class", HeaderValue::from_static(value));
            parse_storage_class(&headers)
        };
        assert_eq!(parse("STANDARD").unwrap(), None);
        assert_eq!(parse("STANDARD_IA").unwrap().as_deref(), Some("STANDARD_IA"));
        // Whether there is such a class, the cluster's configuration says.
        assert_eq!(parse("ARCHIVE_1").unwrap().as_deref(), Some("ARCHIVE_1"));
        assert!(is_own_class("ARCHIVE_1") && !is_own_class("GLACIER"));
        for value in ["", "standard", "ARCHIVE-1", "EXPRESS ONEZONE"] {
            assert_eq!(parse(value).unwrap_err().code(), ErrorCode::InvalidStorageClass);
        }
    }
}

//! `x-amz-storage-class`.

use http::HeaderMap;

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;

/// AWS's classes of general purpose buckets for immediate access. The name is stored and shown. All have the same
/// replication, unless the cluster's configuration defines another one for a class.
const CLASSES: [&str; 6] =
    ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"];

/// AWS's classes whose objects must be restored before they are read. Cairn cannot restore objects, and clients such as
/// `aws s3 cp` do not read an object of these classes that was not restored. So these classes exist only if the cluster's
/// configuration defines them.
pub const ARCHIVE_CLASSES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// The maximum length of a class's name in bytes.
const NAME_LENGTH_MAX: usize = 64;

/// The requested class; `None` for STANDARD. Whether a class exists that is not one of AWS's ([`is_own_class`]) depends on
/// the cluster's configuration, which is not checked here.
///
/// # Errors
/// `InvalidStorageClass`, or `InvalidArgument` for a header that is not text.
pub fn parse_storage_class(headers: &HeaderMap) -> S3Result<Option<String>> {
    let Some(name) = single(headers, "x-amz-storage-class")? else { return Ok(None) };
    match CLASSES.iter().find(|class| **class == name) {
        Some(&"STANDARD") => Ok(None),
        Some(class) => Ok(Some((*class).to_owned())),
        None if is_class_name(name) => Ok(Some(name.to_owned())),
        None => Err(S3Error::new(ErrorCode::InvalidStorageClass).detail("StorageClassRequested", name)),
    }
}

/// Whether a class exists only if the cluster's configuration defines it: it is not one of AWS's for immediate access.
pub fn is_own_class(name: &str) -> bool {
    !CLASSES.contains(&name)
}

/// Whether a class can have this name. Names have the characters of AWS's names: upper-case letters, digits and underscores.
pub fn is_class_name(name: &str) -> bool {
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
        // The cluster's configuration decides whether such a class exists.
        assert_eq!(parse("ARCHIVE_1").unwrap().as_deref(), Some("ARCHIVE_1"));
        assert!(is_own_class("ARCHIVE_1") && !is_own_class("GLACIER_IR"));
        assert!(ARCHIVE_CLASSES.into_iter().all(is_own_class));
        for value in ["", "standard", "ARCHIVE-1", "EXPRESS ONEZONE"] {
            assert_eq!(parse(value).unwrap_err().code(), ErrorCode::InvalidStorageClass);
        }
    }
}

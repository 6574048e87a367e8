//! `x-amz-storage-class`.

use http::HeaderMap;

use crate::error::{ErrorCode, S3Error, S3Result};
use crate::headers::single;

/// The classes of general purpose buckets from which an object can be read at once. All are stored alike, unless
/// the cluster's configuration says how many copies one has; the name is kept and shown.
const CLASSES: [&str; 6] =
    ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"];

/// The classes of AWS from which an object must be restored before it is read. Nothing here restores, and clients such
/// as `aws s3 cp` never ask for an object of such a class that nobody has restored; so these are classes only where the
/// cluster's configuration defines them.
pub const ARCHIVE_CLASSES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// A name that the cluster's configuration may have can be this long.
const NAME_LENGTH_MAX: usize = 64;

/// The class asked for; `None` for STANDARD. One that is none of AWS's ([`is_own_class`]) may still be none
/// of the cluster's either: its configuration tells.
///
/// # Errors
/// `InvalidStorageClass`, or `InvalidArgument` for a header that is no text.
pub fn parse_storage_class(headers: &HeaderMap) -> S3Result<Option<String>> {
    let Some(name) = single(headers, "x-amz-storage-class")? else { return Ok(None) };
    match CLASSES.iter().find(|class| **class == name) {
        Some(&"STANDARD") => Ok(None),
        Some(class) => Ok(Some((*class).to_owned())),
        None if is_name(name) => Ok(Some(name.to_owned())),
        None => Err(S3Error::new(ErrorCode::InvalidStorageClass).detail("StorageClassRequested", name)),
    }
}

/// Whether a class is none of AWS's that can be read at once, so that the cluster must know it.
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
        assert!(is_own_class("ARCHIVE_1") && !is_own_class("GLACIER_IR"));
        assert!(ARCHIVE_CLASSES.into_iter().all(is_own_class));
        for value in ["", "standard", "ARCHIVE-1", "EXPRESS ONEZONE"] {
            assert_eq!(parse(value).unwrap_err().code(), ErrorCode::InvalidStorageClass);
        }
    }
}

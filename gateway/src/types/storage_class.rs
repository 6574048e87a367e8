//! `x-amz-storage-class`.

use http::HeaderMap;

use crate::error::{ErrorCode, S3Error, S3Result};

/// The classes of general purpose buckets. All are stored alike; the name is kept and shown.
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

/// The class asked for; `None` for STANDARD.
///
/// # Errors
/// `InvalidStorageClass`.
pub fn parse_storage_class(headers: &HeaderMap) -> S3Result<Option<String>> {
    let Some(value) = headers.get("x-amz-storage-class") else { return Ok(None) };
    let name = value.to_str().unwrap_or_default();
    match CLASSES.iter().find(|class| **class == name) {
        Some(&"STANDARD") => Ok(None),
        Some(class) => Ok(Some((*class).to_owned())),
        None => Err(S3Error::new(ErrorCode::InvalidStorageClass).detail("StorageClassRequested", name)),
    }
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
        for value in ["", "standard", "COLD", "EXPRESS_ONEZONE"] {
            assert_eq!(parse(value).unwrap_err().code(), ErrorCode::InvalidStorageClass);
        }
    }
}

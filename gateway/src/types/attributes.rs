//! The attributes that a client stores with an object and that S3 returns with it.

use std::collections::BTreeMap;

use cairn_protocol::metadata::ObjectAttributes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::mail_safe;
use super::storage_class::parse_storage_class;
use crate::error::{ErrorCode, S3Error, S3Result};

/// S3 User Guide, "Working with object metadata": user-defined metadata is at most 2 KB, the sum of the bytes of
/// the UTF-8 of each key and value.
const USER_METADATA_MAX: usize = 2048;

const USER_PREFIX: &str = "x-amz-meta-";

/// System-defined metadata that is stored and returned.
const STORED: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::EXPIRES,
];

/// The attributes in the headers of a write, without the checksum.
///
/// # Errors
/// `MetadataTooLarge` or `InvalidStorageClass`.
pub fn parse_attributes(headers: &HeaderMap) -> S3Result<ObjectAttributes> {
    let mut stored = BTreeMap::new();
    for name in &STORED {
        // The value is stored as it was sent. Encoded words have a meaning in user metadata only.
        let Some(mut value) = joined(headers, name, mail_safe::text) else { continue };
        if *name == header::CONTENT_ENCODING {
            value = without_framing(&value);
        }
        if !value.is_empty() {
            stored.insert(name.as_str().to_owned(), value);
        }
    }
    Ok(ObjectAttributes {
        headers: stored,
        user_metadata: user_metadata(headers)?,
        storage_class: parse_storage_class(headers)?,
        checksum: None,
        block_size: None,
        lock: None,
        access: None,
    })
}

/// A stored entry of user metadata as a response header.
pub fn user_metadata_header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::try_from(format!("{USER_PREFIX}{name}")).ok()?;
    Some((name, HeaderValue::try_from(mail_safe::encode(value)).ok()?))
}

fn joined(headers: &HeaderMap, name: &HeaderName, read: fn(&[u8]) -> String) -> Option<String> {
    let values: Vec<String> =
        headers.get_all(name).iter().map(|value| read(value.as_bytes()).trim().to_owned()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Removes `aws-chunked`, which describes the transfer and not the object. The other encodings stay unchanged.
fn without_framing(value: &str) -> String {
    let is_framing = |encoding: &&str| encoding.trim().eq_ignore_ascii_case("aws-chunked");
    if !value.split(',').any(|encoding| is_framing(&encoding)) {
        return value.to_owned();
    }
    let encodings: Vec<&str> = value.split(',').filter(|encoding| !is_framing(encoding)).collect();
    encodings.join(",").trim().to_owned()
}

fn user_metadata(headers: &HeaderMap) -> S3Result<BTreeMap<String, String>> {
    let mut metadata = BTreeMap::new();
    for name in headers.keys() {
        let value = joined(headers, name, mail_safe::decode);
        if let (Some(short), Some(value)) = (name.as_str().strip_prefix(USER_PREFIX), value) {
            metadata.insert(short.to_owned(), value);
        }
    }
    let size: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > USER_METADATA_MAX {
        return Err(S3Error::new(ErrorCode::MetadataTooLarge)
            .detail("Size", size.to_string())
            .detail("MaxSizeAllowed", USER_METADATA_MAX.to_string()));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        map
    }

    #[test]
    fn system_and_user_metadata_are_taken_and_framing_is_not() {
        let attributes = parse_attributes(&headers(&[
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked, gzip"),
            ("expires", "0"),
            ("x-amz-meta-Colour", " red "),
            ("x-amz-meta-a", "1"),
            ("x-amz-meta-a", "2"),
            ("x-amz-meta-word", "=?UTF-8?B?w6k=?="),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-date", "20130524T000000Z"),
        ]))
        .unwrap();
        let pairs =
            |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        assert_eq!(
            pairs(&attributes.headers),
            ["content-encoding=gzip", "content-type=text/plain", "expires=0"]
        );
        assert_eq!(pairs(&attributes.user_metadata), ["a=1,2", "colour=red", "word=é"]);
        assert_eq!(attributes.storage_class.as_deref(), Some("STANDARD_IA"));
        assert!(
            parse_attributes(&headers(&[("content-encoding", "aws-chunked")])).unwrap().headers.is_empty()
        );
    }

    /// Removing `aws-chunked` also removed the spaces between the other encodings, so `Content-Encoding` came back
    /// different from what the client had sent.
    #[test]
    fn content_encodings_beside_aws_chunked_stay_unchanged() {
        for (sent, kept) in [
            ("gzip, br", Some("gzip, br")),
            ("gzip,br", Some("gzip,br")),
            ("aws-chunked, gzip,  br", Some("gzip,  br")),
            ("gzip, br,aws-chunked", Some("gzip, br")),
            ("gzip , aws-chunked, br", Some("gzip , br")),
            ("AWS-Chunked,gzip", Some("gzip")),
            ("aws-chunked", None),
            (" aws-chunked ", None),
        ] {
            let attributes = parse_attributes(&headers(&[("content-encoding", sent)])).unwrap();
            assert_eq!(attributes.headers.get("content-encoding").map(String::as_str), kept, "{sent}");
        }
    }

    #[test]
    fn user_metadata_has_at_most_2_kib() {
        let name = "x-amz-meta-k";
        assert!(parse_attributes(&headers(&[(name, &"v".repeat(2047))])).is_ok());
        let error = parse_attributes(&headers(&[(name, &"v".repeat(2048))])).unwrap_err();
        assert_eq!(error.code(), ErrorCode::MetadataTooLarge);
    }

    #[test]
    fn values_beyond_ascii_come_back_mail_safe() {
        let (name, value) = user_metadata_header("word", "é").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-amz-meta-word", "=?UTF-8?B?w6k=?="));
    }
}

//! How ETags are kept in columns: the MD5 of most of them as 16 bytes instead of 32 digits.

use cairn_protocol::metadata::ObjectVersion;

use super::{Row, StoreError};

/// The first byte of a stored ETag.
const MD5: u8 = 0;
/// An MD5, and the number of parts as four bytes, big-endian: `<md5>-<parts>`.
const MD5_OF_PARTS: u8 = 1;
/// Any other text.
const TEXT: u8 = 2;

/// The form of an ETag for a column. Delete markers have none, which is empty.
pub(crate) fn to_etag(version: &ObjectVersion) -> Vec<u8> {
    encode(&version.etag)
}

fn encode(etag: &str) -> Vec<u8> {
    if etag.is_empty() {
        return Vec::new();
    }
    let (digits, parts) = etag.split_once('-').map_or((etag, None), |(digits, parts)| (digits, Some(parts)));
    // Only what is read back as the same text: digits in lower case, and no zeros before the number.
    let md5 = hex::decode(digits).ok().filter(|md5| md5.len() == 16 && hex::encode(md5) == digits);
    let number = parts.and_then(|parts| parts.parse::<u32>().ok().filter(|n| n.to_string() == parts));
    match (md5, parts, number) {
        (Some(md5), None, _) => [&[MD5][..], &md5].concat(),
        (Some(md5), Some(_), Some(number)) => [&[MD5_OF_PARTS][..], &md5, &number.to_be_bytes()].concat(),
        _ => [&[TEXT], etag.as_bytes()].concat(),
    }
}

/// Reads an ETag from a column.
pub(crate) fn etag(row: &Row, column: &'static str) -> Result<String, StoreError> {
    decode(row.try_get(column)?).ok_or(StoreError::Corrupt { column })
}

fn decode(stored: &[u8]) -> Option<String> {
    let Some((kind, rest)) = stored.split_first() else { return Some(String::new()) };
    match *kind {
        MD5 => (rest.len() == 16).then(|| hex::encode(rest)),
        MD5_OF_PARTS => {
            let (md5, parts) = rest.split_at_checked(16)?;
            Some(format!("{}-{}", hex::encode(md5), u32::from_be_bytes(parts.try_into().ok()?)))
        }
        TEXT => String::from_utf8(rest.to_vec()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn md5s_are_short() {
        assert_eq!(encode("d41d8cd98f00b204e9800998ecf8427e").len(), 17);
        assert_eq!(encode("d41d8cd98f00b204e9800998ecf8427e-10000").len(), 21);
        assert_eq!(encode(""), Vec::<u8>::new());
    }

    #[test]
    fn bytes_that_are_no_etag_are_refused() {
        for wrong in [&[MD5][..], &[MD5, 1], &[MD5_OF_PARTS; 18], &[TEXT, 0xff], &[9]] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn an_etag_is_read_as_it_was_written(
            etag in "[0-9a-fA-F]{32}(-[0-9]{1,11})?|[0-9a-f]{32}-0?[0-9]{1,5}|\\PC{0,40}"
        ) {
            prop_assert_eq!(decode(&encode(&etag)), Some(etag));
        }
    }
}

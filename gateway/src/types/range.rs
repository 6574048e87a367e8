//! Byte ranges (RFC 9110, section 14).

use cairn_protocol::metadata::LookupRange;
use http::{HeaderMap, header};

use crate::error::{S3Error, S3Result};
use crate::headers::single;

/// The range of a GET or HEAD. A header that is not a single range of bytes is ignored: RFC 9110 permits that for several
/// ranges, and requires it for a range that cannot be parsed.
///
/// # Errors
/// `InvalidArgument` for a header that is not text, or occurs more than once.
pub fn parse_range(headers: &HeaderMap) -> S3Result<Option<LookupRange>> {
    Ok(single(headers, header::RANGE.as_str())?.and_then(range))
}

fn range(text: &str) -> Option<LookupRange> {
    let (unit, range) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", length) => Some(LookupRange::Suffix { length: number(length)? }),
        (first, "") => Some(LookupRange::Bytes { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(LookupRange::Bytes { first, last: Some(last) })
        }
    }
}

/// Parses a number. One that does not fit becomes the largest `u64`, which is beyond the end of any object, too.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// `x-amz-copy-source-range`: the first and the last byte, both required.
///
/// # Errors
/// `InvalidArgument`.
pub fn parse_copy_range(headers: &HeaderMap) -> S3Result<Option<(u64, u64)>> {
    let Some(text) = single(headers, "x-amz-copy-source-range")? else { return Ok(None) };
    let range = text.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let range = range.and_then(|(first, last)| Some((number(first)?, number(last)?)));
    match range.filter(|(first, last)| first <= last) {
        Some(range) => Ok(Some(range)),
        None => Err(S3Error::invalid_argument(
            "x-amz-copy-source-range",
            text,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn single_ranges_are_understood_and_others_ignored() {
        let bytes = |first, last| Some(LookupRange::Bytes { first, last });
        for (value, range) in [
            ("bytes=0-9", bytes(0, Some(9))),
            ("bytes=5-", bytes(5, None)),
            ("bytes=-5", Some(LookupRange::Suffix { length: 5 })),
            ("bytes=-0", Some(LookupRange::Suffix { length: 0 })),
            ("Bytes=7-7", bytes(7, Some(7))),
            ("bytes=0-99999999999999999999999", bytes(0, Some(u64::MAX))),
            ("bytes=9-0", None),
            ("bytes=0-1,4-5", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("lines=0-9", None),
            ("0-9", None),
        ] {
            assert_eq!(parse_range(&headers("range", value)).unwrap(), range, "{value}");
        }
        assert_eq!(parse_range(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn copy_ranges_need_both_ends() {
        let parse = |value| parse_copy_range(&headers("x-amz-copy-source-range", value));
        assert_eq!(parse("bytes=0-9").unwrap(), Some((0, 9)));
        for value in ["bytes=0-", "bytes=-9", "0-9", "bytes=9-0", "", "bytes=0-9,10-19"] {
            assert!(parse(value).is_err(), "{value}");
        }
        assert_eq!(parse_copy_range(&HeaderMap::new()).unwrap(), None);
    }
}

//! `x-cairn-block-size`: the size that a client requests for an object's first blocks.

use bytesize::ByteSize;
use cairn_protocol::block::{BLOCK_LENGTH_MAX, BLOCK_SIZE_MIN};
use http::HeaderMap;

use crate::error::{S3Error, S3Result};
use crate::headers::single;

/// The header's name.
pub const BLOCK_SIZE_HEADER: &str = "x-cairn-block-size";

/// The requested size in bytes; `None` if the client leaves the decision to the bucket.
///
/// # Errors
/// `InvalidArgument` for a text that is not a size, or a size that blocks cannot have.
pub fn parse_block_size(headers: &HeaderMap) -> S3Result<Option<u64>> {
    let Some(text) = single(headers, BLOCK_SIZE_HEADER)? else { return Ok(None) };
    match parse_size(text) {
        Some(bytes) if (BLOCK_SIZE_MIN..=BLOCK_LENGTH_MAX).contains(&bytes) => Ok(Some(bytes)),
        Some(_) | None => Err(S3Error::invalid_argument(
            BLOCK_SIZE_HEADER,
            text,
            format!(
                "A block size is {BLOCK_SIZE_MIN} to {BLOCK_LENGTH_MAX} bytes, written as 16777216 or 16MiB."
            ),
        )),
    }
}

/// Parses a whole number of bytes or of a unit, such as KiB, MiB (powers of two), kB or MB (powers of ten). A fraction of a
/// unit is refused, because it would be rounded.
fn parse_size(text: &str) -> Option<u64> {
    let is_whole = text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains('.');
    let size = text.parse::<ByteSize>().ok()?;
    is_whole.then_some(size.as_u64())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::error::ErrorCode;

    fn parse(values: &[&'static str]) -> S3Result<Option<u64>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(BLOCK_SIZE_HEADER, HeaderValue::from_static(value));
        }
        parse_block_size(&headers)
    }

    #[test]
    fn a_size_is_bytes_or_has_a_unit() {
        assert_eq!(parse(&[]).unwrap(), None);
        for (text, bytes) in [
            ("65536", 65_536),
            ("16MiB", 16 << 20),
            ("16 mib", 16 << 20),
            ("256MiB", 256 << 20),
            ("64KiB", 64 << 10),
            ("100kB", 100_000),
            ("5MB", 5_000_000),
            ("70000b", 70_000),
        ] {
            assert_eq!(parse(&[text]).unwrap(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn other_sizes_are_refused() {
        for text in [
            "",
            "0",
            "65535",
            "257MiB",
            "1GiB",
            "MiB",
            "-65536",
            "1.5MiB",
            "0x10000",
            "16MiBs",
            "+65536",
            "99999999999999999999",
        ] {
            assert_eq!(parse(&[text]).unwrap_err().code(), ErrorCode::InvalidArgument, "{text}");
        }
        assert_eq!(parse(&["65536", "65536"]).unwrap_err().code(), ErrorCode::InvalidArgument);
    }
}

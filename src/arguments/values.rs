//! Parsers of sizes, times, shares and the like, with error messages that show a right value.

use std::time::Duration;

use bytesize::ByteSize;
use cairn_protocol::block::{BLOCK_LENGTH_MAX, BLOCK_SIZE_MIN};

/// A time above zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_zero(text)?;
    if duration.is_zero() {
        return Err("it must be longer than nothing".to_owned());
    }
    Ok(duration)
}

/// A time, or `0s`.
pub(crate) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 200ms, 10s or 5m"))
}

/// A number of bytes above zero.
pub(crate) fn size(text: &str) -> Result<ByteSize, String> {
    let size = size_or_zero(text)?;
    if size.as_u64() == 0 {
        return Err("it must be more than nothing".to_owned());
    }
    Ok(size)
}

/// A number of bytes, or 0.
pub(crate) fn size_or_zero(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "write it as 64KiB, 8MiB or 1GiB".to_owned())
}

/// Bytes a second: `50MiB` and `50MiB/s` are the same.
pub(crate) fn rate(text: &str) -> Result<ByteSize, String> {
    size(text.strip_suffix("/s").unwrap_or(text))
}

/// A rate, or 0.
pub(crate) fn rate_or_zero(text: &str) -> Result<ByteSize, String> {
    size_or_zero(text.strip_suffix("/s").unwrap_or(text))
}

/// The size of blocks, within the limits of the block manager.
pub(crate) fn block_size(text: &str) -> Result<ByteSize, String> {
    let size = size(text)?;
    if !(BLOCK_SIZE_MIN..=BLOCK_LENGTH_MAX).contains(&size.as_u64()) {
        return Err("allowed is 64KiB to 256MiB".to_owned());
    }
    Ok(size)
}

/// A share in thousandths, which options write as a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permille(pub u32);

/// A share: `10%` and `10` are the same.
pub(crate) fn percentage(text: &str) -> Result<Permille, String> {
    let wrong = || "write it as 10%; allowed is 0.1% to 100%".to_owned();
    let percent: f64 = text.trim_end_matches('%').trim().parse().map_err(|_| wrong())?;
    if !(0.1..=100.0).contains(&percent) {
        return Err(wrong());
    }
    Ok(Permille((percent * 10.0).round() as u32))
}

/// A storage class and the replication of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StorageClass {
    /// The value of `x-amz-storage-class`.
    pub name: String,
    /// Replicas of each block.
    pub replicas: u32,
}

/// `NAME=REPLICAS`.
pub(crate) fn storage_class(text: &str) -> Result<StorageClass, String> {
    let wrong = || {
        "write it as NAME=REPLICAS, such as ARCHIVE=2: capital letters, digits and _, and 1 to 16".to_owned()
    };
    let (name, replicas) = text.split_once('=').ok_or_else(wrong)?;
    let named = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let replicas: u32 = replicas.parse().map_err(|_| wrong())?;
    if !named || !(1..=16).contains(&replicas) {
        return Err(wrong());
    }
    if name == "STANDARD" {
        return Err("STANDARD has as many replicas as --replication says".to_owned());
    }
    Ok(StorageClass { name: name.to_owned(), replicas })
}

/// The base URL of a part.
pub(crate) fn base_url(text: &str) -> Result<String, String> {
    const FORM: &str = "write it as https://host:port, or http://host:port where the part speaks no TLS";
    let url = reqwest::Url::parse(text).map_err(|error| format!("{error}; {FORM}"))?;
    let is_http = matches!(url.scheme(), "http" | "https");
    if !is_http || url.host().is_none() || url.path() != "/" || url.query().is_some() {
        return Err(FORM.to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// An access key: a length that AWS documents (IAM API, `AccessKey`), of characters that cannot be mistaken for separators
/// in the `Credential` field of a signature.
pub(crate) fn access_key(text: &str) -> Result<String, String> {
    if !(3..=128).contains(&text.len())
        || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    {
        return Err("3 to 128 letters, digits, `_`, `-` or `.`".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_in_per_cent() {
        assert_eq!(percentage("10%"), Ok(Permille(100)));
        assert_eq!(percentage("0.5"), Ok(Permille(5)));
        for wrong in ["0%", "101%", "ten", "-1%", "NaN", ""] {
            assert!(percentage(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_may_end_with_per_second() {
        assert_eq!(rate("50MiB/s"), Ok(ByteSize::mib(50)));
        assert_eq!(rate("50MiB"), Ok(ByteSize::mib(50)));
        assert!(rate("0").is_err());
        assert!(rate("fast").is_err());
    }

    #[test]
    fn a_storage_class_has_a_name_and_a_replication() {
        assert_eq!(
            storage_class("ARCHIVE_2=2"),
            Ok(StorageClass { name: "ARCHIVE_2".to_owned(), replicas: 2 })
        );
        for wrong in ["ARCHIVE", "=2", "archive=2", "A=0", "A=17", "A=two", "STANDARD=2"] {
            assert!(storage_class(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_and_sizes_must_be_above_zero() {
        assert!(duration("0s").is_err());
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO));
        assert!(size("0").is_err());
        assert_eq!(size_or_zero("0"), Ok(ByteSize(0)));
    }
}

//! Header values as text. All code of this crate reads headers through this module.
//!
//! A header may contain bytes outside of ASCII, and may occur more than once. Code that treats such a header as missing
//! turns a conditional write into an unconditional one. So these functions have three outcomes: the header is missing,
//! it is this text, or the request is wrong.

use http::HeaderMap;

use crate::error::{S3Error, S3Result};

/// The text of a header that has one value; `None` if the header is missing.
///
/// # Errors
/// `InvalidArgument` if the header occurs more than once or is not visible ASCII.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &str) -> S3Result<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => text(name, value.as_bytes()).map(Some),
        (Some(value), Some(_)) => {
            Err(wrong(name, value.as_bytes(), format!("The header {name} is there more than once.")))
        }
    }
}

/// The text of a header that is a list: all its values, joined by commas (RFC 9110, section 5.3); `None` if the header
/// is missing.
///
/// # Errors
/// `InvalidArgument` if a value is not visible ASCII.
pub(crate) fn list(headers: &HeaderMap, name: &str) -> S3Result<Option<String>> {
    let values = headers.get_all(name).iter().map(|value| text(name, value.as_bytes()));
    let values = values.collect::<S3Result<Vec<&str>>>()?;
    Ok((!values.is_empty()).then(|| values.join(",")))
}

/// Visible ASCII, spaces and tabs: the characters that RFC 9110, section 5.5, allows in new headers.
pub(crate) fn text<'a>(name: &str, bytes: &'a [u8]) -> S3Result<&'a str> {
    let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    std::str::from_utf8(bytes).ok().filter(|text| text.as_bytes().iter().all(is_text)).ok_or_else(|| {
        wrong(
            name,
            bytes,
            format!("The header {name} has characters that are not ASCII. Please encode them."),
        )
    })
}

fn wrong(name: &str, value: &[u8], message: String) -> S3Error {
    S3Error::invalid_argument(name, String::from_utf8_lossy(value), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use http::HeaderValue;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-a", HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_header_is_missing_or_a_text_or_an_error() {
        let read = |values: &[&[u8]]| single(&headers(values), "x-a").map(|text| text.map(str::to_owned));
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[b""]).unwrap().as_deref(), Some(""));
        assert_eq!(read(&[b"a\t b"]).unwrap().as_deref(), Some("a\t b"));
        for values in [&["é".as_bytes()][..], &[b"\xe9"], &[b"a", b"b"], &[b"a", b"a"]] {
            let error = read(values).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument);
            assert!(error.details().contains(&("ArgumentName", "x-a".to_owned())));
        }
    }

    #[test]
    fn the_values_of_a_list_are_joined_and_none_is_left_out() {
        let read = |values: &[&[u8]]| list(&headers(values), "x-a");
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[b"a, b", b"c"]).unwrap().as_deref(), Some("a, b,c"));
        assert!(read(&[b"a", b"\xe9"]).is_err());
    }

    /// All code must read headers through this module, because a second way to read them could lose one again.
    #[test]
    fn no_other_code_of_this_crate_makes_text_of_a_header() {
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("src/headers.rs") {
                    let source = std::fs::read_to_string(&path).unwrap();
                    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
                    assert!(!code.contains(".to_str()"), "{}: use crate::headers", path.display());
                }
            }
        }
    }
}

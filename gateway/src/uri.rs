//! Percent-encoding as S3 does it: bytes to bytes, without normalisation.

use crate::error::{ErrorCode, S3Error, S3Result};

/// Encodes every byte except the unreserved ones (RFC 3986, section 2.3) with upper-case hex, like `UriEncode()` in the
/// SigV4 documentation. In a path the slash is not encoded.
pub fn encode(bytes: &[u8], keep_slash: bool) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 4);
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if keep_slash => out.push('/'),
            _ => {
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out
}

/// Decodes `%XX`.
///
/// # Errors
/// `InvalidURI` for a percent sign that two hex digits do not follow.
pub fn decode(text: &str) -> S3Result<Vec<u8>> {
    decode_with(text, false)
}

/// Decodes `%XX`, and `+` to a space, as in query strings (HTML's form encoding, which S3 accepts).
///
/// # Errors
/// `InvalidURI` for a percent sign that two hex digits do not follow, and for bytes that are not UTF-8.
pub fn decode_query(text: &str) -> S3Result<String> {
    String::from_utf8(decode_with(text, true)?).map_err(|_| S3Error::new(ErrorCode::InvalidURI))
}

fn decode_with(text: &str, plus_is_space: bool) -> S3Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => match (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(S3Error::new(ErrorCode::InvalidURI)),
            },
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    Ok(out)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A parsed query string: decoded names and values, in the order of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Parses the text after the `?`.
    ///
    /// # Errors
    /// `InvalidURI`.
    pub fn parse(raw: &str) -> S3Result<Self> {
        let pairs = raw.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            Ok((decode_query(name)?, decode_query(value)?))
        });
        Ok(Self { pairs: pairs.collect::<S3Result<_>>()? })
    }

    /// All pairs, in order.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The first value with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(pair, _)| pair == name).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter of this name exists, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Removes and returns the pairs whose name `is_wanted`.
    pub fn take(&mut self, is_wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let (taken, kept) =
            std::mem::take(&mut self.pairs).into_iter().partition(|(name, _)| is_wanted(name));
        self.pairs = kept;
        taken
    }

    /// The first name that occurs more than once. Which of its values counts would be a guess.
    pub fn repeated(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_unreserved_bytes_stay() {
        assert_eq!(encode(b"AZaz09-._~", false), "AZaz09-._~");
        assert_eq!(encode("a b/c+d=é".as_bytes(), true), "a%20b/c%2Bd%3D%C3%A9");
        assert_eq!(encode(b"a/b", false), "a%2Fb");
        assert_eq!(encode(&[0, 255], true), "%00%FF");
    }

    #[test]
    fn a_bad_escape_is_an_invalid_uri() {
        for text in ["%", "%4", "%zz", "a%2", "%+1"] {
            assert_eq!(decode(text).unwrap_err().code(), ErrorCode::InvalidURI, "{text}");
        }
        assert_eq!(Query::parse("a=%ff").unwrap_err().code(), ErrorCode::InvalidURI);
    }

    #[test]
    fn queries_keep_their_order_and_decode_plus() {
        let query = Query::parse("prefix=a+b%2Bc&acl&x==&&y=").unwrap();
        assert_eq!(query.get("prefix"), Some("a b+c"));
        assert_eq!(query.get("acl"), Some(""));
        assert_eq!(query.get("x"), Some("="));
        assert!(query.has("y") && !query.has("z"));
        assert_eq!(query.repeated(), None);
        assert_eq!(Query::parse("b=1&a=1&b=2").unwrap().repeated(), Some("b"));
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..64), slash: bool) {
            prop_assert_eq!(decode(&encode(&bytes, slash)).unwrap(), bytes);
        }

        #[test]
        fn what_is_encoded_has_only_unreserved_bytes_and_escapes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text = encode(&bytes, false);
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
            prop_assert!(text.bytes().all(is_plain), "{text}");
        }

        /// A fuzz target: any text, and text with many characters that have a meaning in queries.
        #[test]
        fn any_text_is_a_query_or_an_error(text in prop_oneof![".{0,64}", "[%+&=a0fF;/?#\u{e9}]{0,64}"]) {
            if let Ok(query) = Query::parse(&text) {
                prop_assert!(query.pairs().len() <= text.matches('&').count() + 1);
                prop_assert!(query.pairs().iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= text.len());
            }
        }
    }
}

//! Metadata values outside of ASCII in headers.
//!
//! Source: S3 User Guide, "Working with object metadata": such values are decoded as per RFC 2047 before
//! they are stored, and encoded as per RFC 2047 when they are returned.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A header's bytes as text: UTF-8, or else ISO-8859-1, which was the encoding of headers in older HTTP. Any bytes are
/// valid ISO-8859-1, so nothing is lost.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// A header's bytes as text, with its encoded words decoded.
pub(super) fn decode(bytes: &[u8]) -> String {
    let text = text(bytes);
    if text.contains("=?") { decode_words(&text) } else { text }
}

/// A value for a header: unchanged if it is printable ASCII, else one encoded word.
pub(super) fn encode(text: &str) -> String {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if plain { text.to_owned() } else { format!("=?UTF-8?B?{}?=", STANDARD.encode(text)) }
}

/// Decodes each encoded word; other text stays unchanged. The text is parsed as a header of a mail. This works because the
/// value of an HTTP header has no line breaks.
fn decode_words(text: &str) -> String {
    let line = format!("x: {text}");
    mailparse::parse_header(line.as_bytes())
        .map_or_else(|_| text.to_owned(), |(header, _)| header.get_value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of RFC 2047, section 8, and texts that are not encoded words.
    #[test]
    fn encoded_words_are_decoded() {
        for (text, decoded) in [
            ("=?ISO-8859-1?Q?a?=", "a"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"),
            ("=?UTF-8?B?w6k=?=", "é"),
            ("x=?y", "x=?y"),
            ("=?x?Q?a?=", "=?x?Q?a?="),
            ("=?UTF-8?B?!?=", "=?UTF-8?B?!?="),
            ("plain", "plain"),
        ] {
            assert_eq!(decode(text.as_bytes()), decoded, "{text}");
        }
        assert_eq!(decode("é".as_bytes()), "é");
        assert_eq!(decode(b"\xe9"), "é");
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in "[^=]{0,40}") {
            prop_assert_eq!(decode(encode(&text).as_bytes()), text);
        }

        #[test]
        fn any_bytes_decode(bytes in proptest::collection::vec(any::<u8>(), 0..60), words in "(=\\?|\\?=|\\?|Q|UTF-8|=|é){0,12}") {
            let _ = decode(&bytes);
            let _ = decode(words.as_bytes());
        }
    }
}

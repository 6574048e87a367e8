//! Metadata values beyond ASCII, in headers.
//!
//! Source: S3 User Guide, "Working with object metadata": such values are decoded as per RFC 2047 before
//! they are stored, and encoded as per RFC 2047 when they are returned.
//!
//! Written by hand, because crates for mail decode whole headers of messages: they fold white space and join words, which S3
//! does not, and accept character sets that would need tables of their own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A header's bytes as text: UTF-8, or ISO-8859-1 as HTTP once had it. Any bytes are one or the other, so nothing is
/// lost.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// The same, and encoded words are decoded.
pub(super) fn decode(bytes: &[u8]) -> String {
    let text = text(bytes);
    if text.contains("=?") { decode_words(&text) } else { text }
}

/// A value as a header can hold it: as it is if it is printable ASCII, else one encoded word.
pub(super) fn encode(text: &str) -> String {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if plain { text.to_owned() } else { format!("=?UTF-8?B?{}?=", STANDARD.encode(text)) }
}

/// Decodes each encoded word. White space between two of them belongs to the encoding (RFC 2047, section 6.2).
fn decode_words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let Some((decoded, after)) = decode_word(word) else {
            out.push_str(before);
            out.push_str("=?");
            rest = &word[2..];
            after_word = false;
            continue;
        };
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&decoded);
        rest = after;
        after_word = true;
    }
    out.push_str(rest);
    out
}

/// `=?charset?encoding?text?=` at the beginning of `word`, and what follows it.
fn decode_word(word: &str) -> Option<(String, &str)> {
    let mut parts = word.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (text, after) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(text).ok()?,
        "Q" | "q" => decode_q(text)?,
        _ => return None,
    };
    let decoded = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" => bytes.into_iter().map(char::from).collect(),
        _ => return None,
    };
    Some((decoded, after))
}

fn decode_q(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'_' => b' ',
            b'=' => {
                let digits = [bytes.next()?, bytes.next()?];
                hex::decode(digits).ok()?.first().copied()?
            }
            other => other,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of RFC 2047, section 8, and what is no encoded word.
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
